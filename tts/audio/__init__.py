"""Waves: quantization to codes, audio files, playing.

In: waves (T,) float32 in [-1, 1] and audio files. Out: codes (T,) int, 0 … q_levels - 1; waves; files.
Read `quantization` first; `files` reads, resamples and writes audio, `riff` knows WAV headers, `player` plays what is
being made.
"""

from tts.audio.files import (
    LOUDEST,
    RATES,
    check_output,
    from_bytes,
    pcm16,
    read,
    read_channels,
    resample,
    to_bytes,
    to_mono,
    wav_header,
    wav_stream,
    write,
)
from tts.audio.quantization import Coding, Decoder, Quantization, decode, decode_table, encode

__all__ = [
    "LOUDEST", "RATES", "Coding", "Decoder", "Quantization", "check_output", "decode", "decode_table", "encode",
    "from_bytes", "pcm16", "read", "read_channels", "resample", "to_bytes", "to_mono", "wav_header", "wav_stream",
    "write",
]  # fmt: skip
