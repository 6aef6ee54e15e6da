"""Any folder of audio as two long waves: one to train on, one that is held out."""

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.core.files import is_file, is_folder

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
HELD_OUT = 10
"""One recording in so many is held out."""

Normalization = Literal["q_zero", "min_max"]


def joined(
    source: Path, sample_rate: int, seconds: float, normalization: Normalization, zero_dc: bool
) -> tuple[np.ndarray, np.ndarray]:
    """All recordings under a folder, one behind the other: a wave to train on, (T,) float32, and one held out.

    Their order is that of a hash of their names, so a mixture of what is in the folder. At most so many seconds are
    trained on, and a fifth as many held out. Raises: InputError where there is no folder, or too little in it.
    """
    room = [int(seconds * sample_rate), int(seconds * sample_rate / 5)]
    parts: list[list[np.ndarray]] = [[], []]
    for place, path in enumerate(_files(source)):
        split = place % HELD_OUT == 1
        if room[split] <= 0:
            continue
        wave = read_one(path, sample_rate, normalization, zero_dc)
        parts[split].append(wave[: room[split]])
        room[split] -= len(wave)
        if max(room) <= 0:
            break
    if not all(parts):
        raise InputError(f"{source} has too few recordings to hold some out; give a folder of some more")
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def first_clip(
    source: Path, sample_rate: int, seconds: float, normalization: Normalization, zero_dc: bool
) -> np.ndarray:
    """The loudest stretch of so many seconds, (T,) float32, in the first recording that is as long.

    Raises: InputError where none is.
    """
    count = int(seconds * sample_rate)
    for path in _files(source):
        wave = read_one(path, sample_rate, normalization, zero_dc)
        if len(wave) >= count:
            power = np.cumsum(np.concatenate([[0.0], wave.astype(np.float64) ** 2]))
            begin = int(np.argmax(power[count:] - power[:-count]))
            return wave[begin : begin + count]
    raise InputError(f"no recording of {source} is {seconds:g} s long; give others, or a shorter clip_seconds")


def read_one(path: Path, sample_rate: int, normalization: Normalization, zero_dc: bool) -> np.ndarray:
    """A recording as (T,) float32 in [-1, 1].

    q_zero: divided by its largest absolute value, so that no sound is the middle code. min_max: stretched from its
    least to its largest value, as the reference SampleRNN does, so that no sound is any code. zero_dc: after its mean
    is subtracted, else before.
    """
    wave, rate = audio.read(path)
    wave = audio.resample(wave, rate, sample_rate)
    if zero_dc:
        wave = wave - wave.mean()
    if normalization == "q_zero":
        return (wave / max(float(np.abs(wave).max()), 1e-5)).astype(np.float32)
    low, high = float(wave.min()), float(wave.max())
    return ((wave - low) / max(high - low, 1e-5) * 2 - 1).astype(np.float32)


def _files(source: Path) -> list[Path]:
    """The recordings at or under a path, in the order of a hash of their names. Raises: InputError for none."""
    if is_file(source):
        return [source]
    found = [path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES] if is_folder(source) else []
    if not found:
        raise InputError(f"source={source}: there are no recordings; give a folder of {', '.join(SUFFIXES)} files")
    return sorted(found, key=lambda path: hashlib.sha256(os.fsencode(path.relative_to(source))).digest())
