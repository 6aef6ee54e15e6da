"""Audio files to digits: reads many, recognizes them in batches, and keeps their order."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from tts import audio
from tts.core.errors import InputError
from tts.recognition.digits import SpokenDigit
from tts.recognition.onnx_recognizer import OnnxRecognizer

FILES_AT_ONCE = 256
"""Read and answered together; more would only hold more audio in memory."""


def recognize_files(
    recognizer: OnnxRecognizer, paths: Iterable[Path], batch_size: int, threshold: float
) -> Iterator[tuple[Path, list[SpokenDigit] | InputError]]:
    """Recognize the digits of WAV or FLAC files of any sample rate, or pipes, `batch_size` at once.

    Digits of a confidence below `threshold` are left out; it has no effect where the recognizer has no confidences.

    Yields:
        Each path with its answer. Errors of files that cannot be read come before the answers of the `FILES_AT_ONCE`
        files among which they are.
    """
    remaining = iter(paths)
    while group := list(islice(remaining, FILES_AT_ONCE)):
        waves: dict[int, np.ndarray] = {}
        for index, path in enumerate(group):
            try:
                wave, rate = audio.read(path)
                waves[index] = audio.resample(wave, rate, recognizer.sample_rate)
            except InputError as error:
                yield path, error
        found = recognizer.spoken(list(waves.values()), recognizer.sample_rate, batch_size)
        for index, own in zip(waves, found, strict=True):
            yield group[index], [one for one in own if one.confidence >= threshold]
