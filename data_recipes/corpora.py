"""Every corpus by its name, with one set of options: what `tts data build` and a training's config choose from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_recipes import espeak, folder, fsdd, prompts, speech_commands
from data_recipes.corpus import Corpus, CorpusOptions, RecordingOptions
from tts.core.errors import InputError

EVERYONE = "everyone"
"""The speaker of a corpus whose speakers are taken as one."""


OPTIONS = {
    "fsdd": (),
    "speech_commands": ("words",),
    "prompts": ("words", "languages"),
    "espeak": ("words", "languages", "voices", "takes"),
    "folder": ("piece_seconds",),
}
"""Every corpus, and the options that it has beside `one_speaker`."""


def load_corpus(
    name: str,
    sources: Path | Sequence[Path] | None = None,
    recordings: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    options: CorpusOptions | None = None,
    num_proc: int = 1,
    progress: bool = False,
) -> Corpus:
    """Read, check and prepare a corpus.

    Args: name, a key of `OPTIONS`; sources, where it lies, several folders of `prompts` only; speakers, None for all.

    Raises: InputError for an option that the corpus does not have, or as its recipe's `load_corpus`.
    """
    options = options or CorpusOptions()
    if name not in OPTIONS:
        raise InputError(f"corpus {name!r} is unknown; choose among {', '.join(OPTIONS)}")
    given = [sources] if isinstance(sources, Path) else list(sources or ())
    asked = {key: value for key, value in vars(options).items() if key != "one_speaker" and value not in ((), None)}
    if strange := [option for option in asked if option not in OPTIONS[name]]:
        having = ", ".join(other for other in OPTIONS if strange[0] in OPTIONS[other])
        raise InputError(f"corpus {name} has no option {strange[0]}, which is one of {having}; leave it out")
    most = {"prompts": len(given), "folder": len(given), "espeak": 0}.get(name, 1)
    if len(given) > most:
        what = "is made, so it has no source" if name == "espeak" else "has one source"
        raise InputError(f"corpus {name} {what}; {len(given)} were given")
    if name == "folder" and speakers:
        raise InputError("corpus folder has no speakers; leave them out")
    common: dict[str, Any] = {"options": recordings, "speakers": speakers, "progress": progress, **asked}
    source = given[0] if given else None
    if name == "espeak":
        spoken = common.pop("languages", ("en",))
        if len(spoken) > 1:
            raise InputError(f"corpus espeak speaks one language at a time; {len(spoken)} were given")
        corpus = espeak.load_corpus(**common, language=spoken[0], num_proc=num_proc)
    elif name == "folder":
        corpus = folder.load_corpus(given, recordings, progress, **asked)
    elif name == "prompts":
        corpus = prompts.load_corpus(given, **common)
    else:
        corpus = {"fsdd": fsdd, "speech_commands": speech_commands}[name].load_corpus(source, **common)
    return as_one_speaker(corpus) if options.one_speaker else corpus


def as_one_speaker(corpus: Corpus) -> Corpus:
    """The corpus with `EVERYONE` as its only speaker; ids of recordings still tell whose they are."""
    splits = {
        name: [replace(recording, speaker=EVERYONE) for recording in recordings]
        for name, recordings in corpus.splits.items()
    }
    count = len({recording.speaker for recordings in corpus.splits.values() for recording in recordings})
    return replace(corpus, splits=splits, notes=[*corpus.notes, f"{count} speakers are taken as one"])
