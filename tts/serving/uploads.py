"""Recordings as clients send them to waves, by PyAV (FFmpeg): bounded, and only in containers that hold no references
to other files or addresses."""

import io

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.core.messages import reason

MAX_SAMPLES = 2**25
"""Over all channels: 134 MB."""
MAX_CHANNELS = 8
FORMATS = "WAV, FLAC, MP3, Ogg, WebM, MP4 or AAC"


def decoded(data: bytes, max_seconds: float) -> tuple[np.ndarray, int]:
    """The first audio stream of a file in memory: (T,) float32, and its sample rate in Hz.

    Raises InputError: it is no audio, has none, is broken, or holds more than `max_seconds`.
    """
    import av

    container_format = _container(data)
    blocks: list[np.ndarray] = []
    count = 0
    try:
        with av.open(io.BytesIO(data), format=container_format, mode="r") as container:
            if not container.streams.audio:
                raise InputError(f"file: holds no audio; send a recording as {FORMATS}")
            stream = container.streams.audio[0]
            rate, channels = stream.rate, stream.channels
            if not audio.RATES[0] <= rate <= audio.RATES[1] or not 1 <= channels <= MAX_CHANNELS:
                raise InputError(
                    f"file: has {channels} channels at {rate} Hz; at most {MAX_CHANNELS} at {audio.RATES[0]} to "
                    f"{audio.RATES[1]} Hz are read"
                )
            resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
            room = min(int(max_seconds * rate), MAX_SAMPLES // channels)
            first: tuple[str, int, int] | None = None
            for frame in container.decode(stream):
                # PyAV does not look after the first frame, and reads memory that is not there where channels change.
                shape = frame.format.name, frame.layout.nb_channels, frame.sample_rate
                first = first or shape
                if shape != first or shape[1] > MAX_CHANNELS:
                    raise InputError(
                        "file: its channels, sample rate or format change on the way; send a recording that keeps them"
                    )
                for converted in resampler.resample(frame):
                    blocks.append(converted.to_ndarray())
                    count += converted.samples
                if count > room:
                    raise InputError(
                        f"file: lasts more than {room / rate:g} s, the most that is read; send a part of it"
                    )
            if not count:
                raise InputError(f"file: holds no samples; send a recording as {FORMATS}")
            wave = np.concatenate(blocks, axis=1).T
    except InputError:
        raise
    except Exception as error:  # PyAV's own, and what it raises where a file has no rate, no layout …
        raise InputError(f"file: not readable as audio ({reason(error, 80)}); send {FORMATS}") from error
    if not np.isfinite(wave).all() or np.abs(wave).max() > audio.LOUDEST:
        raise InputError("file: holds samples that are not finite, or far beyond full scale; record it again")
    return audio.to_mono(wave, "the upload"), rate


def _container(data: bytes) -> str:
    """FFmpeg's name of the container, from the first bytes: its own guess knows playlists, which name other files."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mov"
    for magic, name in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1aE\xdf\xa3", "matroska"), (b"ID3", "mp3")):
        if head.startswith(magic):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0x06 == 0 else "mp3"
    raise InputError(f"file: is no audio; send a recording as {FORMATS}")
