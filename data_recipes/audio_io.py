"""The FLAC bytes that go into a dataset, and back. Files are read by `tts.audio`. Letter: T samples."""

import io

import numpy as np
import soundfile


def flac_bytes(wave: np.ndarray, sample_rate: int) -> bytes:
    """16-bit FLAC of wave (T,) float32 in [-1, 1] at sample_rate Hz."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_audio(data: bytes) -> tuple[np.ndarray, int]:
    """The wave (T,) float32 in [-1, 1] and the sample rate of audio bytes taken from a dataset row."""
    wave, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return wave, int(sample_rate)
