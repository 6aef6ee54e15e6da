"""Reading corpus audio strictly, and the FLAC bytes that go into a dataset.

Unit of level: dBFS, 0 for full scale. Letters: T samples, C channels.
"""

import io
from pathlib import Path

import numpy as np
import soundfile

from tts.errors import InputError

UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write that stream a WAV to a pipe


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Read one audio file whole.

    Returns: wave (T, C) float32 in [-1, 1], and its sample rate in Hz.

    Raises: InputError naming the file if it is missing, not audio, empty, cut short or holds NaN or infinity.
    """
    try:
        with path.open("rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a folder of readable WAV files") from None
    if not data:
        raise InputError(f"{path}: the file is empty (0 bytes); restore it from the corpus")
    _check_riff_length(data, path)
    try:
        wave, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        detail = str(error).rpartition(": ")[2]
        raise InputError(f"{path}: not an audio file ({detail}); WAV or FLAC is needed") from None
    if not len(wave):
        raise InputError(f"{path}: holds no samples; restore it from the corpus")
    if not np.isfinite(wave).all():
        raise InputError(f"{path}: holds NaN or infinite samples; restore it from the corpus")
    return wave, int(sample_rate)


def _check_riff_length(data: bytes, path: Path) -> None:
    """libsndfile reads a WAV that was cut short without a word, so compare its header with what is there."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if name == b"data":
            if size != UNKNOWN_SIZE and position + size > len(data):
                raise InputError(
                    f"{path}: truncated, the header promises {size} bytes of audio and the file holds "
                    f"{len(data) - position}; restore it from the corpus"
                )
            return
        position += size + size % 2
    raise InputError(f"{path}: truncated, no audio follows the header; restore it from the corpus")


def to_mono(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Mean of the channels, resampled.

    Args: wave (T, C) float32 at from_rate Hz. Returns: (T',) float32 at to_rate Hz.
    """
    mono = wave.mean(axis=1, dtype=np.float32)
    if from_rate == to_rate:
        return mono
    import torch  # heavy, and needed only by corpora at another rate
    import torchaudio

    mean = mono.mean()  # taken out meanwhile: the filter sees zeros beyond the ends, and a step rings
    centred = torch.from_numpy(mono - mean)
    return torchaudio.functional.resample(centred, from_rate, to_rate).numpy() + mean


def flac_bytes(wave: np.ndarray, sample_rate: int) -> bytes:
    """16-bit FLAC of wave (T,) float32 in [-1, 1] at sample_rate Hz."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_audio(data: bytes) -> tuple[np.ndarray, int]:
    """The wave (T,) float32 in [-1, 1] and the sample rate of audio bytes taken from a dataset row."""
    wave, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return wave, int(sample_rate)
