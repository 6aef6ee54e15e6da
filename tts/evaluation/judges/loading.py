"""The judges by name, as `--judges` names them."""

from collections.abc import Callable, Sequence

from tts.core.errors import InputError
from tts.core.messages import shown
from tts.evaluation.judges.dnsmos import DnsmosJudge
from tts.evaluation.judges.judge import OWN, Judge, Measure
from tts.evaluation.judges.periodicity import PeriodicityJudge
from tts.evaluation.judges.second import SecondJudge
from tts.evaluation.judges.speaker import SpeakerJudge
from tts.evaluation.judges.whisper import WhisperJudge
from tts.evaluation.utterance import Unit

JUDGES: dict[str, Callable[[], Judge]] = {
    "second": SecondJudge,
    "whisper": WhisperJudge,
    "dnsmos": DnsmosJudge,
    "periodicity": PeriodicityJudge,
    "speaker": SpeakerJudge,
}
"""Beside our recognizer, `OWN`."""
OF_DIGITS = (OWN, "second")
BASE: dict[Unit, str] = {"digit": OWN, "word": "whisper"}
"""The judge that a report is based on: what it recognized is compared with what was said."""
MEASURES: dict[str, Measure] = {
    OWN: Measure("our recognizer's errors per digit", reads=True),
    **SecondJudge.measures,
    **WhisperJudge.measures,
    **DnsmosJudge.measures,
    **PeriodicityJudge.measures,
    **SpeakerJudge.measures,
}
"""Of all judges, in the order of the report."""
READING = tuple(name for name, measure in MEASURES.items() if measure.reads)
SHARES = tuple(name for name, measure in MEASURES.items() if measure.share)


def load_judges(names: Sequence[str], unit: Unit = "digit", language: str = "en") -> list[Judge]:
    """The judges of these names but `OWN`, in the order of the report.

    Args: unit and language, of the voice. `BASE` of the unit must be among the names.

    Raises: InputError for a name that is unknown, comes twice or is of a judge that cannot read such a voice, or a
        judge whose wheel is not installed, with the command that installs it.
    """
    allowed = [name for name in (OWN, *JUDGES) if unit == "digit" or name not in OF_DIGITS]
    for name in names:
        if unit == "word" and name in OF_DIGITS:
            found = f"--judges: {name} knows digits only, and the voice says other words"
            raise InputError(f"{found}; choose among {', '.join(allowed)}")
        if name not in allowed:
            raise InputError(f"--judges: {name!r} is unknown; choose among {', '.join(allowed)}")
    if len(set(names)) != len(names):
        raise InputError(f"--judges are {', '.join(names)}; name each once")
    if BASE[unit] not in names:
        raise InputError(f"--judges are {', '.join(names)}; {BASE[unit]} must be among them: the report is based on it")
    if unit == "word" and language != "en":
        raise InputError(
            f"the judge whisper knows English only, and the voice speaks {shown(language)}; no other reads"
        )
    loaded = []
    for name in JUDGES:
        if name in names:
            try:
                loaded.append(JUDGES[name]())
            except InputError as error:
                raise InputError(f"the judge {name} cannot be asked: {error}") from None
    return loaded
