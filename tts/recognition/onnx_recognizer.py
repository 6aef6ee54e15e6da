"""The recognizer without torch: the spectrogram in numpy, the network by onnxruntime, the confidence in numpy.

It gives the digits of `tts.recognition.model.Recognizer`, which made its weights, and says how sure it is of each and
when it was said.

Letters: B batch, T samples, N frames of 20 ms, M mel bands, D width.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tts.core.extras import require
from tts.core.files import is_file
from tts.recognition.confidence import confidences, pooled
from tts.recognition.config import BLANK, ONNX_FILE, SAMPLE_RATE, WEIGHTS, RecognizerConfig
from tts.recognition.digits import Place, SpokenDigit, places
from tts.recognition.loading import reading
from tts.recognition.waves import batches, prepared

QUIET_DB = 40.0
"""What is so far below the loudest moment of a digit's frames is a pause before or after it."""


class OnnxRecognizer:
    """Recognizes the digits in waves. Read-only once loaded, so it may be shared between threads."""

    sample_rate = SAMPLE_RATE

    def __init__(self, model: bytes, card: dict[str, Any], confidence: dict[str, np.ndarray] | None = None) -> None:
        """`model`: what `export.onnx_bytes` gives; `confidence`: weights for `confidences`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # many small products; callers share the cores
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.card, self.config = card, RecognizerConfig(**card["config"])
        self.confidence = {name: w.astype(np.float32) for name, w in confidence.items()} if confidence else None
        self._mel_bands = mel_bands(self.config)
        if self.confidence:
            float(card["confidence"]["threshold"])

    @classmethod
    def load(cls, folder: Path | None = None) -> "OnnxRecognizer":
        """The recognizer in `folder` (recognizer.onnx, recognizer.json, and confidence.safetensors where it has
        confidences); by default the one that ships.

        Raises: InputError if onnxruntime is not installed, or the folder holds none, or one that does not fit together.
        """
        require("serve", "onnxruntime")
        folder = Path(folder or WEIGHTS)
        with reading(folder, "recognizer.json", ONNX_FILE):
            from safetensors.numpy import load_file

            card = json.loads((folder / "recognizer.json").read_text())
            path = folder / "confidence.safetensors"
            return cls((folder / ONNX_FILE).read_bytes(), card, load_file(path) if is_file(path) else None)

    @property
    def threshold(self) -> float:
        """The confidence below which `tts recognize` rejects a digit; 0 where the recognizer has no confidence."""
        return float(self.card["confidence"]["threshold"]) if self.confidence else 0.0

    def spoken(self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32) -> list[list[SpokenDigit]]:
        """The digits in each wave, [] for none, with their times and confidences, 1 where the recognizer has none.

        Args: waves, each (T,) float in [-1, 1] at sample_rate Hz, of any length; the gain does not matter.

        Raises: InputError for a wave that is not one-dimensional or not finite, or a sample rate out of range.
        """
        result: list[list[SpokenDigit]] = [[] for _ in waves]
        for index, found, layers, times in self.located(waves, sample_rate, batch_size):
            scores = confidences(pooled(layers, found), self.confidence) if self.confidence else [1.0] * len(found)
            result[index] = [
                SpokenDigit(place.digit, score, *time) for place, score, time in zip(found, scores, times, strict=True)
            ]
        return result

    def located(
        self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32
    ) -> Iterator[tuple[int, list[Place], list[np.ndarray], list[tuple[float, float]]]]:
        """For each wave with digits: its index, where they are, what each layer puts out, (N, its width), and when each
        was said. Args and Raises as `spoken`."""
        ready = prepared(waves, sample_rate)
        for indices in batches([len(wave) for wave in ready], batch_size):
            levels = [self.log_mels(ready[i]) for i in indices]
            counts = np.array([len(own) for own in levels])
            mels = np.zeros((len(indices), counts.max(), self.config.mels), np.float32)
            for row, own in enumerate(levels):
                mels[row, : len(own)] = own
            *layers, logits = self._session.run(None, {"mels": mels, "counts": counts})
            for row, index in enumerate(indices):
                count = (counts[row] - 1) // self.config.stride + 1
                if found := places(logits[row, :count].argmax(-1), BLANK):
                    times = self._times(levels[row], found, len(ready[index]) / self.sample_rate)
                    yield index, found, [layer[row, :count] for layer in layers], times

    def log_mels(self, wave: np.ndarray) -> np.ndarray:
        """wave (T,) float32 -> (frames, M) float32 about 0: the same as `FrontEnd` gives."""
        c = self.config
        margin = c.edge + c.n_fft // 2
        padded = np.pad(wave, (margin, margin))
        frames = np.lib.stride_tricks.sliding_window_view(padded, c.n_fft)[:: c.hop]
        window = np.zeros(c.n_fft, np.float32)
        begin = (c.n_fft - c.window) // 2
        window[begin : begin + c.window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(c.window) / c.window)
        power = np.abs(np.fft.rfft(frames * window)) ** 2 @ self._mel_bands
        decibels = 10 * np.log10(power + 1e-10)
        relative = np.maximum(decibels - decibels.max(), -c.floor_db)
        return ((relative + c.floor_db / 2) / 15).astype(np.float32)

    def _times(self, levels: np.ndarray, found: list[Place], seconds: float) -> list[tuple[float, float]]:
        """When each digit was said. CTC puts a digit out at its end; it began after the digit before it."""
        hop, stride = self.config.hop / self.sample_rate, self.config.stride
        edge = self.config.edge / self.sample_rate
        loudness = levels.max(1) * 15  # dB
        times = []
        for place in found:
            first, last = place.low * stride, min(place.end * stride, len(loudness))
            own = loudness[first:last]
            sounds = first + np.flatnonzero(own > own.max() - QUIET_DB)
            begin, end = (min(max(k * hop - edge, 0.0), seconds) for k in (int(sounds[0]), int(sounds[-1]) + 1))
            times.append((round(begin, 3), round(end, 3)))
        return times


def mel_bands(config: RecognizerConfig) -> np.ndarray:
    """(n_fft / 2 + 1, M) float64: triangles on HTK's mel scale, as `torchaudio.transforms.MelSpectrogram` has them."""
    c = config
    hertz = np.linspace(0, c.sample_rate // 2, c.n_fft // 2 + 1)
    low, high = (2595 * np.log10(1 + f / 700) for f in (c.low_hz, c.high_hz))
    corners = 700 * (10 ** (np.linspace(low, high, c.mels + 2) / 2595) - 1)
    slopes = corners - hertz[:, None]
    rising, falling = -slopes[:, :-2] / np.diff(corners)[:-1], slopes[:, 2:] / np.diff(corners)[1:]
    bands: np.ndarray = np.maximum(0.0, np.minimum(rising, falling))
    return bands
