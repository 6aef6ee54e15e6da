"""The recognizer's shape and the constants that its two forms share; no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tts.core.config import Range, check
from tts.core.errors import InputError

SAMPLE_RATE = 8000
"""Hz."""
BLANK = 10
CLASSES = 11
WEIGHTS = Path(__file__).parent / "weights"
ONNX_FILE = "recognizer.onnx"
"""The network, in the folder of its weights; see `tts.recognition.export`."""
MIN_SECONDS = 0.06
"""Shorter audio holds no digit: the answer is an empty list."""

BATCH_SECONDS = 600.0
"""No batch holds more audio than this, padding included, so that long files do not fill the memory."""


@dataclass(frozen=True)
class RecognizerConfig:
    """Shape of the network. Frequencies in Hz, lengths in samples at `sample_rate`, floor in dB below the loudest.

    edge: silence put at both ends of every wave, in training too. The network puts a digit out only after the
    digit's end, so one that ends with the wave would be missed.
    """

    sample_rate: Annotated[int, Range(8000, 8000)] = 8000
    window: Annotated[int, Range(2, 4096)] = 200
    hop: Annotated[int, Range(1, 4096)] = 80
    n_fft: Annotated[int, Range(2, 4096)] = 256
    mels: Annotated[int, Range(1, 1024)] = 40
    low_hz: Annotated[float, Range(0, 4000)] = 60.0
    high_hz: Annotated[float, Range(0, 4000)] = 3900.0
    floor_db: Annotated[float, Range(0, 200, low_open=True)] = 60.0
    edge: Annotated[int, Range(0, 8000)] = 800
    channels: Annotated[int, Range(1, 1024)] = 160
    width: Annotated[int, Range(1, 1024)] = 160
    layers: Annotated[int, Range(1, 8)] = 2
    dropout: Annotated[float, Range(0, 1, high_open=True)] = 0.15

    stride = 2  # of the second convolution

    def __post_init__(self) -> None:
        check(self, "model.")
        for low, high in (("window", "n_fft"), ("hop", "window")):
            if (value := getattr(self, low)) > (most := getattr(self, high)):
                raise InputError(f"model.{low} is {value}; it must be at most model.{high}, {most}")
        if self.mels > self.n_fft // 2 + 1:
            most = self.n_fft // 2 + 1
            raise InputError(f"model.mels is {self.mels}; with model.n_fft {self.n_fft} there are at most {most}")
        if self.low_hz >= self.high_hz:
            raise InputError(f"model.low_hz is {self.low_hz}; it must be below model.high_hz, {self.high_hz}")
