"""Waves to levels and back; reading and writing audio files.

The sample model works on integer *levels* 0 … `q_levels` - 1. Silence (0.0) is the middle level, `q_levels // 2`.
This file needs numpy alone (soundfile is imported when a file is touched), so that speaking starts fast.
"""

import fcntl
import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, get_args

import numpy as np

from tts.errors import InputError
from tts.files import check_new_file, failure, write_whole

Quantization = Literal["mu-law", "linear"]


def encode(wave: np.ndarray, q_levels: int = 256, quantization: Quantization = "mu-law") -> np.ndarray:
    """Quantise a wave to levels.

    Args:
        wave: any shape, float in [-1, 1]; values outside are clipped.
        q_levels: number of levels, an even number.
        quantization: "mu-law" (mu = q_levels - 1) or "linear" (uniform steps).

    Returns:
        int64 levels of the same shape, 0 … q_levels - 1. The quantisation error is at most half a (companded) step.

    Reference: ITU-T G.711 companding with a free mu; the same levels as `torchaudio.functional.mu_law_encoding`, but
    for about one value in a million that lies on the border between two (tested); in numpy because importing torch
    takes longer than speaking a sentence.
    """
    _check_levels(q_levels, quantization)
    wave = np.clip(np.asarray(wave, dtype=np.float32), -1.0, 1.0)
    mu = np.float32(q_levels - 1)
    if quantization == "mu-law":
        wave = np.sign(wave) * np.log1p(mu * np.abs(wave)) / np.log1p(mu)
    return ((wave + 1) / 2 * mu + np.float32(0.5)).astype(np.int64)


def decode(levels: np.ndarray, q_levels: int = 256, quantization: Quantization = "mu-law") -> np.ndarray:
    """Turn levels (any shape, int, 0 … q_levels - 1) back into a float32 wave in [-1, 1]; the inverse of `encode`."""
    return decode_table(q_levels, quantization)[levels]


def decode_table(q_levels: int, quantization: Quantization) -> np.ndarray:
    """The wave value of every level: (Q,) float32, rising from -1 to 1; the middle level is exactly 0."""
    _check_levels(q_levels, quantization)
    mu = q_levels - 1
    value = 2 * np.arange(q_levels, dtype=np.float64) / mu - 1
    if quantization == "mu-law":
        value = np.sign(value) * np.expm1(np.abs(value) * np.log1p(mu)) / mu
    # Both coders put 0.0 half a step below the middle level; a silence that decodes to that half step would be a DC.
    value[q_levels // 2] = 0.0
    return value.astype(np.float32)


def _check_levels(q_levels: int, quantization: str) -> None:
    if q_levels < 4 or q_levels % 2:
        raise InputError(f"q_levels is {q_levels}; it must be an even number of at least 4, e.g. 256")
    if quantization not in get_args(Quantization):
        raise InputError(f"quantization is {quantization!r}; it must be one of {', '.join(get_args(Quantization))}")


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """Read an audio file: (T,) float32 in [-1, 1], channels averaged, and its sample rate in Hz.

    Raises:
        InputError: the file is missing, empty, not audio, cut short, or holds values that are not finite.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no audio file at {path}; give the path of a WAV or FLAC file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); replace it by a WAV or FLAC file")
    try:
        if _is_cut_short(path):
            raise InputError(f"{path} is cut short: its header announces more than is there; copy or record it again")
        wave, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise InputError(f"{path} is not readable as audio ({error}); WAV and FLAC are") from error
    if not len(wave):
        raise InputError(f"{path} holds no samples; replace it by a longer recording")
    if not np.isfinite(wave).all():
        raise InputError(f"{path} holds NaN or infinite samples; repair or remove it")
    return wave.mean(axis=1), sample_rate


def _is_cut_short(path: Path) -> bool:
    """Whether a WAV file is shorter than it says: libsndfile would read what is there without a word."""
    with path.open("rb") as file:
        header = file.read(8)
    size = int.from_bytes(header[4:], "little")
    # A program that writes to a pipe cannot know the size, and announces (nearly) the largest one. The last padding
    # byte is often forgotten.
    return header[:4] == b"RIFF" and size < 0x7FFF0000 and path.stat().st_size + 1 < size + 8


FORMATS = {".wav": "WAV", ".flac": "FLAC"}


def check_output(path: Path, force: bool) -> str:
    """The soundfile format for an output path that may be written: its folder exists and it is new, or `force`.

    Raises:
        InputError: unknown suffix, or as `tts.files.check_new_file`.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"cannot write {path}: its name must end in {' or '.join(FORMATS)}")
    check_new_file(path, force)
    return FORMATS[path.suffix.lower()]


def write(path: str | Path, wave: np.ndarray, sample_rate: int, force: bool = False) -> None:
    """Write a wave, (T,) float32 in [-1, 1], as 16-bit WAV or FLAC (by suffix). The file appears whole or not at all.

    Raises:
        InputError: see `check_output`; or the disk refused the file.
    """
    path = Path(path)
    audio_format = check_output(path, force)
    data = to_bytes(wave, sample_rate, audio_format)
    try:
        write_whole(path, data)
    except OSError as error:
        raise InputError(f"cannot write {failure(error)}") from error


def to_bytes(wave: np.ndarray, sample_rate: int, audio_format: str = "WAV") -> bytes:
    """A whole 16-bit audio file in memory; `wave` as in `write`, `audio_format` "WAV" or "FLAC"."""
    import soundfile

    assert np.isfinite(wave).all(), wave
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, sample_rate, format=audio_format, subtype="PCM_16")
    return buffer.getvalue()


_UNKNOWN = 0xFFFFFFFF  # what ffmpeg announces, too, where it cannot know the size


def _wav_header(sample_rate: int, size: int) -> bytes:
    """The 44 bytes before `size` bytes of 16-bit mono."""
    whole = min(size + 36, _UNKNOWN)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + form + struct.pack("<4sI", b"data", size)


@contextmanager
def wav_stream(file: IO[bytes], sample_rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a 16-bit WAV file while it is being made, e.g. into a pipe.

    Its header says that the size is unknown; where `file` can be rewound, the header is mended at the end. Nothing is
    written before the first samples are.

    Args:
        file: for writing bytes, at its beginning.
        sample_rate: Hz.

    Yields:
        A function that writes samples, (n,) float32 in [-1, 1], and flushes.
    """
    import soundfile

    written = 0

    def write(samples: np.ndarray) -> None:
        nonlocal written
        # By the library that writes files, so that a stream holds the same bytes as a file.
        raw = io.BytesIO()
        soundfile.write(raw, samples, sample_rate, format="RAW", subtype="PCM_16", endian="LITTLE")
        file.write((b"" if written else _wav_header(sample_rate, _UNKNOWN)) + raw.getvalue())
        file.flush()
        written += 2 * len(samples)

    yield write
    if written and written + 36 < _UNKNOWN and _can_be_rewound(file):
        end = file.tell()
        start = end - written - 44
        if start >= 0:  # /dev/null is always at 0
            file.seek(start)
            file.write(_wav_header(sample_rate, written))
            file.seek(end)
            file.flush()


def _can_be_rewound(file: IO[bytes]) -> bool:
    try:
        appends = fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND  # `>> x.wav`: all that is written goes last
    except OSError:  # in memory, it has no descriptor
        appends = 0
    return file.seekable() and not appends
