"""Recordings of a corpus as waves: what `tts.audio` reads, telephone formats without a header, the rest by PyAV."""

import io
from pathlib import Path

import numpy as np

from tts.audio import read_channels, to_mono
from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.messages import one_line

PLAIN = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
"""What `tts.audio` reads."""
HEADERLESS = {
    ".gsm": ("GSM610", 8000),
    ".ulaw": ("ULAW", 8000),
    ".alaw": ("ALAW", 8000),
    ".sln": ("PCM_16", 8000),
    ".sln16": ("PCM_16", 16_000),
}
"""Telephone formats that are nothing but samples: libsndfile's name for them, and their sample rate, Hz."""
BY_AV = (".g722", ".opus", ".m4a", ".aac", ".wma")
SUFFIXES = (*PLAIN, *HEADERLESS, *BY_AV)

FULL_SCALE = 0.999
CLIPPED_RUN = 4
"""So many samples in a row at full scale are no peak that just reached it."""


def is_audio(path: Path) -> bool:
    """Whether a file's name says that it is audio that can be read; hidden files are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_recording(path: Path) -> tuple[np.ndarray, int]:
    """A file as one channel, (T,) float32 in [-1, 1], and its sample rate in Hz.

    Raises: InputError, naming the file, if it is missing, empty or no audio, or if PyAV, which it needs, is missing.
    """
    suffix = path.suffix.lower()
    if suffix in HEADERLESS:
        wave, rate = _headerless(path, *HEADERLESS[suffix])
    elif suffix in BY_AV:
        wave, rate = _by_av(path)
    else:
        channels, rate = read_channels(path)
        wave = to_mono(channels, path)
    if not len(wave):
        raise InputError(f"{one_line(str(path))}: holds no samples; replace it by a longer recording")
    return wave, rate


def is_clipped(wave: np.ndarray) -> bool:
    """Whether a wave (T,) as it lies in its file has runs of samples at full scale: its peaks were cut off."""
    full = np.abs(wave) >= FULL_SCALE
    return len(full) >= CLIPPED_RUN and bool(np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN).all(1).any())


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{one_line(str(path))}: cannot be read ({error.strerror}); restore or remove it") from None
    if not data:
        raise InputError(f"{one_line(str(path))}: the file is empty (0 bytes); replace or remove it")
    return data


def _headerless(path: Path, subtype: str, rate: int) -> tuple[np.ndarray, int]:
    import soundfile

    data = io.BytesIO(_bytes(path))
    options = {"format": "RAW", "subtype": subtype, "samplerate": rate, "channels": 1, "endian": "LITTLE"}
    wave: np.ndarray = soundfile.read(data, dtype="float32", **options)[0]
    return wave, rate


def _by_av(path: Path) -> tuple[np.ndarray, int]:
    require("train", "av")
    import av

    pieces, rate = [], 0
    data = _bytes(path)
    try:
        with av.open(io.BytesIO(data), "r", format="g722" if path.suffix.lower() == ".g722" else None) as container:
            resampler = av.AudioResampler(format="flt", layout="mono")
            for frame in container.decode(audio=0):
                rate = frame.sample_rate
                pieces += [part.to_ndarray().ravel() for part in resampler.resample(frame)]
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{one_line(str(path))}: not readable as audio ({error}); replace or remove it") from None
    wave = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return wave.astype(np.float32), rate
