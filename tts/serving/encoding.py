"""Speech as clients get it, encoded while it is made: WAV and PCM by hand, the rest by PyAV (FFmpeg).

Letters: n samples of a chunk.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from tts.audio import pcm16, wav_header
from tts.core.errors import InputError

ResponseFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
MEDIA_TYPES: dict[ResponseFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
RATES = (8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
CLIENTS_RATE = 24000
"""What clients take `pcm` for, since OpenAI's API gives it."""
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class _Codec(NamedTuple):
    container: str
    codec: str
    sample_format: str
    options: dict[str, str]
    attributes: dict[str, Any]


_CODECS: dict[str, _Codec] = {
    "mp3": _Codec("mp3", "libmp3lame", "s16p", {"write_xing": "0", "id3v2_version": "0"}, {"bit_rate": 64_000}),
    "opus": _Codec("ogg", "libopus", "s16", {"page_duration": "20000"}, {"bit_rate": 32_000}),
    "aac": _Codec("adts", "aac", "fltp", {}, {"bit_rate": 64_000}),
    "flac": _Codec("flac", "flac", "s16", {}, {}),
}


def output_rate(response_format: ResponseFormat, requested: int | None, own: int) -> int:
    """The sample rate of an answer: the one that was requested; else the voice's own in WAV and FLAC, whose header says
    it, and `CLIENTS_RATE` in the others. Raises InputError for one that the format has not."""
    default = own if response_format in ("wav", "flac") else CLIENTS_RATE
    rate = default if requested is None else requested
    allowed = OPUS_RATES if response_format == "opus" else RATES
    if response_format in ("wav", "flac", "pcm"):
        allowed = (*allowed, own)  # whatever it is
    if rate not in allowed:
        raise InputError(
            f"sample_rate is {rate}; {response_format} has {', '.join(map(str, allowed))}: choose one of these, or "
            "another response_format",
            param="sample_rate",
        )
    return rate


class Encoder:
    """Chunks of a wave to the bytes of a file."""

    def __init__(self, response_format: ResponseFormat, own_rate: int, rate: int) -> None:
        """`own_rate`: of the chunks; `rate`: of the file."""
        assert response_format in get_args(ResponseFormat), response_format
        self._resampler: Any = None
        if own_rate != rate:
            import soxr

            self._resampler = soxr.ResampleStream(own_rate, rate, 1, dtype="float32")
        self._header = wav_header(rate) if response_format == "wav" else b""
        self._file = _File(_CODECS[response_format], rate) if response_format in _CODECS else None

    def finish(self) -> bytes:
        """The last bytes."""
        tail = self.feed(np.zeros(0, np.float32), last=True)
        return tail + self._file.finish() if self._file else tail

    def feed(self, samples: np.ndarray, last: bool = False) -> bytes:
        """(n,) float32 to the bytes that are ready; there may be none."""
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last)
        header, self._header = self._header, b""
        data = pcm16(samples)
        return self._file.feed(data) if self._file else header + data


class _File:
    """A file that is written by FFmpeg; what it has written is taken away."""

    def __init__(self, codec: _Codec, rate: int) -> None:
        import av

        self._av, self._rate, self._samples = av, rate, 0
        self._written = bytearray()
        self._container = av.open(self, "w", format=codec.container, options=codec.options)
        attributes = {"layout": "mono", "format": codec.sample_format, **codec.attributes}
        self.stream: Any = self._container.add_stream(codec.codec, rate=rate, **attributes)

    def write(self, data: bytes) -> int:
        """What FFmpeg calls."""
        self._written += data
        return len(data)

    def feed(self, data: bytes) -> bytes:
        """16-bit samples to the bytes that are ready."""
        if data:
            frame = self._av.AudioFrame.from_ndarray(np.frombuffer(data, "<i2")[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = self._rate, self._samples
            self._samples += frame.samples
            self._container.mux(self.stream.encode(frame))
        return self._taken()

    def finish(self) -> bytes:
        """The last bytes."""
        self._container.mux(self.stream.encode(None))
        self._container.close()
        return self._taken()

    def _taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken
