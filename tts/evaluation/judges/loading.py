"""The judges by name, as `--judges` names them."""

from collections.abc import Callable, Sequence

from tts.core.errors import InputError
from tts.evaluation.judges.dnsmos import DnsmosJudge
from tts.evaluation.judges.judge import Judge, Measure
from tts.evaluation.judges.periodicity import PeriodicityJudge
from tts.evaluation.judges.second import SecondJudge
from tts.evaluation.judges.summary import OWN
from tts.evaluation.judges.whisper import WhisperJudge

JUDGES: dict[str, Callable[[], Judge]] = {
    "second": SecondJudge,
    "whisper": WhisperJudge,
    "dnsmos": DnsmosJudge,
    "periodicity": PeriodicityJudge,
}
"""Beside the recognizer that every report is based on, `OWN`."""
MEASURES: dict[str, Measure] = {
    OWN: Measure("our recognizer's errors per digit", reads=True),
    **SecondJudge.measures,
    **WhisperJudge.measures,
    **DnsmosJudge.measures,
    **PeriodicityJudge.measures,
}
"""Of all judges, in the order of the report."""
READING = tuple(name for name, measure in MEASURES.items() if measure.reads)


def load_judges(names: Sequence[str]) -> list[Judge]:
    """The judges of these names but `OWN`, which must be among them, in the order of the report.

    Raises: InputError for a name that is unknown or comes twice, or a judge whose wheel is not installed, with the
        command that installs it.
    """
    allowed = (OWN, *JUDGES)
    for name in names:
        if name not in allowed:
            raise InputError(f"--judges: {name!r} is unknown; choose among {', '.join(allowed)}")
    if len(set(names)) != len(names):
        raise InputError(f"--judges are {', '.join(names)}; name each once")
    if OWN not in names:
        raise InputError(f"--judges are {', '.join(names)}; {OWN} must be among them: the report is based on it")
    loaded = []
    for name in JUDGES:
        if name in names:
            try:
                loaded.append(JUDGES[name]())
            except InputError as error:
                raise InputError(f"the judge {name} cannot be asked: {error}") from None
    return loaded
