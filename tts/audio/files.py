"""Reading, resampling and writing audio files. Letters: T samples, C channels.

soundfile and soxr are imported when they are used, so that speaking starts fast.
"""

import fcntl
import io
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from tts.audio import riff
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_new_file, failure
from tts.core.messages import one_line

if TYPE_CHECKING:
    import soundfile

MAX_BYTES = 2**30  # of a file that is read: 1 GiB
MAX_SAMPLES = 2**29  # over all channels: 3.1 hours of one channel at 48 kHz, 2 GiB in memory
RATES = (1000, 384_000)
"""Lowest and highest sample rate, Hz."""
MAX_CHANNELS = 64
BLOCK = 2**20  # samples of each channel that are decoded at once
UNKNOWN_FRAMES = 2**62  # libsndfile announces nearly 2^63 where a streamed FLAC file does not say
LOUDEST = 1000.0
"""Largest absolute value of a sample; full scale is 1, so this is 60 dB above it. Beyond it a file holds no audio, or
integers written as floating point."""
CANCELING = 0.05
"""Channels cancel out if the power of their mean is less than this share of what unrelated channels would leave. Of two
channels, equally loud, that is a correlation below -0.95."""
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
UNKNOWN_SIZE = 0xFFFFFFFF  # what ffmpeg announces, too, where it cannot know the size


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """Read an audio file as one channel: (T,) float32, and its sample rate in Hz. See `read_channels` and `to_mono`."""
    wave, sample_rate = read_channels(path)
    return to_mono(wave, path), sample_rate


def read_channels(path: str | Path) -> tuple[np.ndarray, int]:
    """Read an audio file whole, the one way to do so.

    Args:
        path: a file, pipe or FIFO with WAV, FLAC or what else libsndfile knows; "-" is standard input. A WAV file whose
            header has a placeholder for its size is read to its end (`tts.audio.riff` has the rule).

    Returns: wave (T, C) float32, nominally in [-1, 1] (floating-point files may exceed it), and its sample rate in Hz.

    Raises: InputError, naming the file, if it is missing, empty, not audio, cut short or too large, or if its sample
    rate, number of channels or samples are out of range.
    """
    import soundfile

    name = _name(path)
    data = _content(path)
    try:
        with soundfile.SoundFile(io.BytesIO(riff.whole(data))) as file:
            sample_rate = int(file.samplerate)
            if not RATES[0] <= sample_rate <= RATES[1]:
                raise InputError(
                    f"{name}: has a sample rate of {sample_rate} Hz; from {RATES[0]} to {RATES[1]} is read"
                )
            if file.channels > MAX_CHANNELS:
                raise InputError(f"{name}: has {file.channels} channels; at most {MAX_CHANNELS} are read")
            wave = _all_samples(name, file)
    except riff.CutShort as error:
        raise InputError(f"{name}: the file is cut short (truncated): {error}; copy or record it again") from None
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        detail = str(error).removeprefix("Error opening ").rpartition(">: ")[2].strip().rstrip(".")
        raise InputError(f"{name}: not readable as audio ({detail}); WAV and FLAC are") from error
    if not len(wave):
        raise InputError(f"{name}: holds no samples; replace it by a longer recording")
    if not np.isfinite(wave).all():
        raise InputError(f"{name}: holds NaN or infinite samples; repair or remove it")
    peak = float(np.abs(wave).max())
    if peak > LOUDEST:
        allowed = f"full scale is 1 and at most {LOUDEST:.0f} is read: divide them"
        raise InputError(f"{name}: holds samples of up to {peak:.3g}; {allowed}")
    return wave, sample_rate


def _name(path: str | Path) -> str:
    """For a message, which stands on one line whatever characters the name has."""
    return "standard input" if str(path) == "-" else one_line(str(path))


def _content(path: str | Path) -> bytes:
    """The bytes of a file, pipe or standard input, at most `MAX_BYTES`."""
    name = _name(path)
    try:
        if str(path) == "-":
            if sys.stdin is None:
                raise ValueError("it is closed")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"no audio file at {name}; give the path of a WAV or FLAC file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or standard input is closed
        detail = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read ({detail}); give a readable WAV or FLAC file") from None
    if not data:
        raise InputError(f"{name}: the file is empty (0 bytes); replace it by a WAV or FLAC file")
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: larger than {MAX_BYTES >> 20} MiB, the most that is read; split it")
    return data


def _all_samples(name: str, file: "soundfile.SoundFile") -> np.ndarray:
    """(T, C) float32. In blocks: a header may state any number of samples, or (streamed FLAC) none."""
    file.seekable = lambda: False  # soundfile would seek after each block, which libsndfile refuses in streamed FLAC
    blocks = []
    room = MAX_SAMPLES // file.channels
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        blocks.append(block)
        room -= len(block)
        if room < 0:
            raise InputError(f"{name}: holds more than {MAX_SAMPLES} samples, the most that is read; split it")
    read = sum(map(len, blocks))
    if file.format == "FLAC" and read < file.frames < UNKNOWN_FRAMES:
        raise RuntimeError(f"cut short: {read} of {file.frames} samples are there")
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def to_mono(wave: np.ndarray, name: str | Path) -> np.ndarray:
    """Wave (T, C) float to the mean of its channels, (T,) float32.

    Where they cancel out (opposite phase), the loudest one; a line on stderr says so, with the file's name.
    """
    mean = wave.mean(axis=1, dtype=np.float32)
    channels = wave.shape[1]
    if channels == 1:
        return mean
    power = wave.var(axis=0, dtype=np.float64)
    if mean.var(dtype=np.float64) * channels >= CANCELING * power.mean():
        return mean
    loudest = int(power.argmax())
    what = f"the channels of {_name(name)} cancel out (opposite phase); channel {loudest + 1} is used alone"
    print(f"tts: warning: {what}", file=sys.stderr)
    return np.ascontiguousarray(wave[:, loudest], dtype=np.float32)


def resample(wave: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """wave (T,) float32 at from_rate Hz -> (T',) float32 at to_rate Hz, by soxr: any two rates, at the same speed."""
    if from_rate == to_rate or not len(wave):
        return wave
    import soxr

    mean = wave.mean()  # taken out meanwhile: the filter sees zeros beyond the ends, and a step rings
    centered = np.ascontiguousarray(wave - mean, dtype=np.float32)
    resampled: np.ndarray = soxr.resample(centered, from_rate, to_rate) + mean
    return resampled


def check_output(path: Path, force: bool) -> str:
    """The soundfile format for an output path that may be written: its folder exists and it is new, or `force`.

    Raises: InputError for an unknown suffix, or as `tts.core.files.check_new_file`.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"cannot write {path}: its name must end in {' or '.join(FORMATS)}")
    check_new_file(path, force)
    return FORMATS[suffix]


def write(path: str | Path, wave: np.ndarray, sample_rate: int, force: bool = False) -> None:
    """Write a wave, (T,) float32 in [-1, 1], as 16-bit WAV or FLAC (by suffix). The file appears whole or not at all.

    Raises: InputError as `check_output`, or where the disk refuses the file.
    """
    path = Path(path)
    data = to_bytes(wave, sample_rate, check_output(path, force))
    try:
        atomic_write(path, data)
    except OSError as error:
        raise InputError(f"cannot write {failure(error)}") from error


def to_bytes(wave: np.ndarray, sample_rate: int, audio_format: str = "WAV") -> bytes:
    """A whole 16-bit audio file in memory; `wave` as in `write`, `audio_format` "WAV" or "FLAC"."""
    assert np.isfinite(wave).all(), wave
    if audio_format == "WAV":  # what speaking writes: without the time that the library takes to be loaded
        samples = pcm16(wave)
        return wav_header(sample_rate, len(samples)) + samples
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, wave, sample_rate, format=audio_format, subtype="PCM_16")
    return buffer.getvalue()


def from_bytes(data: bytes) -> tuple[np.ndarray, int]:
    """The wave (T,) float32 in [-1, 1] and the sample rate of what `to_bytes` made."""
    import soundfile

    wave, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return wave, int(sample_rate)


def pcm16(wave: np.ndarray) -> bytes:
    """16-bit samples, clipped, as libsndfile rounds them: down, after scaling to 32 bits."""
    scaled = np.rint(np.asarray(wave, np.float32).astype(np.float64) * 2.0**31)
    return (np.clip(scaled, -(2.0**31), 2.0**31 - 1).astype(np.int64) >> 16).astype("<i2").tobytes()


def wav_header(sample_rate: int, size: int = UNKNOWN_SIZE, channels: int = 1) -> bytes:
    """The 44 bytes before `size` bytes of 16-bit samples; by default they say that the size is unknown."""
    whole = min(size + 36, UNKNOWN_SIZE)
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate, 2 * channels * sample_rate, 2 * channels, 16
    )
    return struct.pack("<4sI4s", b"RIFF", whole, b"WAVE") + form + struct.pack("<4sI", b"data", size)


@contextmanager
def wav_stream(file: IO[bytes], sample_rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a 16-bit WAV file while it is being made, e.g. into a pipe.

    Its header says that the size is unknown; where `file` can be rewound, the header is corrected at the end.
    Nothing is written before the first samples are.

    Yields: a function that writes samples, (n,) float32 in [-1, 1], and flushes.
    """
    written = 0

    def write(samples: np.ndarray) -> None:
        nonlocal written
        file.write((b"" if written else wav_header(sample_rate, UNKNOWN_SIZE)) + pcm16(samples))
        file.flush()
        written += 2 * len(samples)

    yield write
    if written and written + 36 < UNKNOWN_SIZE and _can_be_rewound(file):
        end = file.tell()
        start = end - written - 44
        if start >= 0:  # /dev/null is always at 0
            file.seek(start)
            file.write(wav_header(sample_rate, written))
            file.seek(end)
            file.flush()


def _can_be_rewound(file: IO[bytes]) -> bool:
    appends = 0
    with suppress(OSError):  # in memory, it has no descriptor
        appends = fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND  # `>> x.wav`: all that is written goes last
    return file.seekable() and not appends
