"""Waves: quantization to codes, audio files, playing.

In: waves (T,) float32 in [-1, 1] and audio files. Out: codes (T,) int, 0 … q_levels - 1; waves; files.
Read `quantization` first; `files` reads, resamples and writes audio, `riff` knows WAV headers, `player` plays what is
being made.
"""

from tts.audio.files import (
    RATES,
    check_output,
    from_bytes,
    read,
    read_channels,
    resample,
    to_bytes,
    to_mono,
    wav_stream,
    write,
)
from tts.audio.quantization import Quantization, code_edges, decode, decode_table, encode

__all__ = [
    "RATES", "Quantization", "check_output", "code_edges", "decode", "decode_table", "encode", "from_bytes", "read",
    "read_channels", "resample", "to_bytes", "to_mono", "wav_stream", "write",
]  # fmt: skip
