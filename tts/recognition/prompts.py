"""Speech without digits: the prompts of Asterisk's core sounds, G.722 at 16 kHz, in folders VOICE/KIND/NAME.g722.

Taken are `letters`, `phonetic` and those of `digits` without a digit word: days, months, "dollars", "at", "hundred" ...
Left out is what holds an English digit word or may pass for one: the numbers, the ordinals ("fourth"), "oh" (zero) and
"niner" (phonetic/9_p). Numbers of the other languages are left out too, since some sound alike ("six" in French).
"""

from pathlib import Path

import numpy as np

from data_recipes.reading import read_recording
from tts import audio
from tts.core.errors import InputError
from tts.recognition.config import SAMPLE_RATE

NO_NUMBERS = {"a-m", "at", "dollars", "minus", "oclock", "p-m", "pound", "star", "today", "tomorrow", "yesterday"}
NO_NUMBERS |= {"hundred", "thousand", "million", "billion"}  # numbers without a digit word in them


def holds_no_digit(path: Path) -> bool:
    """Whether a prompt is speech without a digit."""
    if path.parent.name == "digits":
        return path.stem in NO_NUMBERS or path.stem.startswith(("day-", "mon-"))
    return path.stem != "9_p"


def voices(folder: Path) -> list[str]:
    """The voices in the folder of prompts. Raises: InputError if there are none."""
    names = sorted(path.parent.parent.name for path in folder.glob("*/letters/a.g722"))
    if not names:
        raise InputError(f"{folder}: no prompts there; give the folder with VOICE/letters/a.g722")
    return names


def digitless(folder: Path, voice: str) -> dict[str, np.ndarray]:
    """The prompts of one voice without digits: by name, waves (T,) float32 at 8 kHz. Raises: InputError for none."""
    paths = [path for path in sorted((folder / voice).glob("*/*.g722")) if holds_no_digit(path)]
    if not paths:
        raise InputError(f"{folder}: no prompts of {voice} there; there are: {', '.join(voices(folder))}")
    return {f"{path.parent.name}/{path.stem}": read(path) for path in paths}


def read(path: Path) -> np.ndarray:
    """A prompt: (T,) float32 at 8 kHz. Raises: InputError as `read_recording`."""
    return audio.resample(*read_recording(path), SAMPLE_RATE)
