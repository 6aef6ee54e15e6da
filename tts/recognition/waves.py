"""Waves as the recognizer takes them: checked, at its sample rate, those of like length together; no torch."""

from collections.abc import Iterator, Sequence

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.recognition.config import BATCH_SECONDS, MIN_SECONDS, SAMPLE_RATE


def prepared(waves: Sequence[np.ndarray], sample_rate: int) -> list[np.ndarray]:
    """Waves, each (T,) float at `sample_rate` Hz, as float32 at `SAMPLE_RATE`.

    Raises: InputError for a wave that is not one-dimensional or not finite, or a sample rate out of range.
    """
    if not audio.RATES[0] <= sample_rate <= audio.RATES[1]:
        low, high = audio.RATES
        raise InputError(f"the sample rate is {sample_rate} Hz; it must be from {low} to {high}")
    ready = []
    for index, wave in enumerate(waves):
        array = np.asarray(wave, dtype=np.float32)
        if array.ndim != 1:
            raise InputError(f"wave {index} has shape {array.shape}; one channel, shape (T,), is needed")
        if not np.isfinite(array).all():
            raise InputError(f"wave {index} holds NaN or infinite samples; repair or leave it out")
        ready.append(np.ascontiguousarray(audio.resample(array, sample_rate, SAMPLE_RATE)))
    return ready


def batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of waves of like length, long ones first, at most `batch_size` and `BATCH_SECONDS` together; waves that
    are too short to hold a digit are left out. Raises: InputError for no such batch size."""
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    order = [i for i in range(len(lengths)) if lengths[i] >= MIN_SECONDS * SAMPLE_RATE]
    order.sort(key=lambda i: -lengths[i])
    while order:
        size = max(1, min(batch_size, int(BATCH_SECONDS * SAMPLE_RATE // lengths[order[0]])))
        yield order[:size]
        order = order[size:]
