"""The digit recognizer: log-mel spectrogram, two convolutions, a bidirectional LSTM, CTC over ten digits and blank.

It was trained on real recordings only (`scripts/train_recognizer.py`), never on generated speech, so that it can judge
generated speech. Its weights ship with the package: `Recognizer.load()`.

References: Graves et al. 2006 (CTC); the level normalization follows Whisper (Radford et al. 2022, section 2.2):
powers are taken relative to the loudest one of the utterance and everything far below it is one floor, so gain does not
matter.

Nothing depends on the rest of a batch: convolutions see zeros beyond an utterance's end, as at its beginning, and the
backward direction of each LSTM layer starts at the utterance's own last frame.

Letters: B batch, T samples, N frames after the front end (one each 20 ms), M mel bands, D width, C classes.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from safetensors.torch import load_file
from torch import Tensor, nn

from tts.core import config as configs
from tts.recognition.config import BLANK, CLASSES, SAMPLE_RATE, WEIGHTS, RecognizerConfig
from tts.recognition.convolutional import ConvolutionalConfig, ConvolutionalNet, mask
from tts.recognition.digits import Place, places
from tts.recognition.loading import reading
from tts.recognition.waves import batches, prepared

Device = str | torch.device
SECOND_WEIGHTS = WEIGHTS / "second"
"""Of the second judge, which is never used to select anything."""


def reversal(lengths: Tensor, n: int) -> Tensor:
    """(B, n) int64 indices that reverse each utterance's own frames and leave the padding behind them in place."""
    index = torch.arange(n, device=lengths.device).expand(len(lengths), n)
    mirrored = lengths[:, None] - 1 - index
    return torch.where(mirrored >= 0, mirrored, index)


class FrontEnd(nn.Module):
    """Waves to normalized log-mel spectrograms."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.config = c = config
        # Padded by zeros, as a batch is.
        self.mel = torchaudio.transforms.MelSpectrogram(
            c.sample_rate, c.n_fft, c.window, c.hop, c.low_hz, c.high_hz, n_mels=c.mels, pad_mode="constant"
        )

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """waves (B, T) float32, zero beyond lengths (B,) int64 -> (B, frames, M) float32 about 0, and frames (B,)."""
        edge = self.config.edge
        power: Tensor = self.mel(nn.functional.pad(waves, (edge, edge))).transpose(1, 2)
        counts = (lengths + 2 * edge) // self.config.hop + 1
        inside = mask(counts, power.shape[1])[:, :, None]
        decibels = 10 * torch.log10(power + 1e-10)
        loudest = decibels.masked_fill(~inside, -1e9).amax(dim=(1, 2), keepdim=True)
        relative = (decibels - loudest).clamp(min=-self.config.floor_db)
        # Whole bands are not centered: in a single digit that would take away what makes it that digit.
        return ((relative + self.config.floor_db / 2) / 15).masked_fill(~inside, 0.0), counts


class BidirectionalLSTM(nn.Module):
    """One layer; the backward half reads each utterance from its own end, so padding is never read before speech."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(inputs, width, batch_first=True)
        self.backwards = nn.LSTM(inputs, width, batch_first=True)

    def forward(self, x: Tensor, reversed_frames: Tensor) -> Tensor:
        """x (B, N, D) and the indices of `reversal` -> (B, N, 2 x width)."""
        ahead, _ = self.forwards(x)
        back, _ = self.backwards(x.gather(1, reversed_frames[:, :, None].expand_as(x)))
        back = back.gather(1, reversed_frames[:, :, None].expand_as(back))
        return torch.cat([ahead, back], dim=-1)


class RecognizerNet(nn.Module):
    """From spectrograms to CTC log-probabilities."""

    def __init__(self, config: RecognizerConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv1d(config.mels, config.channels, 5, padding=2)
        self.second = nn.Conv1d(config.channels, config.channels, 5, stride=config.stride, padding=2)
        self.norm = nn.LayerNorm(config.channels)
        inputs = [config.channels] + [2 * config.width] * (config.layers - 1)
        self.lstm = nn.ModuleList(BidirectionalLSTM(size, config.width) for size in inputs)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(2 * config.width, CLASSES)

    def front_end(self) -> FrontEnd:
        """What its input comes from."""
        return FrontEnd(self.config)

    def hidden(self, mels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """mels (B, frames, M), counts (B,) -> the last layer's output (B, N, D), and lengths (B,), frames of 20 ms."""
        x = torch.relu(self.first(mels.transpose(1, 2)))
        x = x * mask(counts, x.shape[2])[:, None, :]  # as the convolution's own padding: zeros
        x = torch.relu(self.second(x)).transpose(1, 2)
        lengths = (counts - 1) // self.config.stride + 1
        reversed_frames = reversal(lengths, x.shape[1])
        x = self.dropout(self.norm(x))
        for layer in self.lstm:
            x = self.dropout(layer(x, reversed_frames))
        return x, lengths

    def forward(self, mels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """mels (B, frames, M), counts (B,) -> log-probabilities (B, N, C) float32 and lengths (B,) int64."""
        x, lengths = self.hidden(mels, counts)
        return self.out(x).float().log_softmax(-1), lengths


Net = RecognizerNet | ConvolutionalNet
ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "lstm": (RecognizerConfig, RecognizerNet),
    "convolutional": (ConvolutionalConfig, ConvolutionalNet),
}
"""Config and network by the name that is in the weights' card; "lstm" where it has none."""


def rounded(net: nn.Module) -> dict[str, Tensor]:
    """The weights as they are stored: float16, to be small."""
    return {name: x.detach().to(torch.float16).contiguous() for name, x in net.state_dict().items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a file as float32, what a CPU computes in."""
    return {name: x.float() for name, x in load_file(path).items()}


class Recognizer:
    """Recognizes the digits in waves. Read-only once loaded, so it may be shared between threads."""

    sample_rate = SAMPLE_RATE

    def __init__(self, net: Net, card: dict[str, Any], device: Device = "cpu") -> None:
        self.net, self.front_end = net.to(device).eval(), net.front_end().to(device)
        self.card, self.device = card, torch.device(device)

    @classmethod
    def load(cls, folder: Path | None = None, device: Device = "cpu") -> "Recognizer":
        """The recognizer in `folder` (recognizer.safetensors, recognizer.json); by default the one that ships.

        Raises: InputError if the folder holds none, or one that does not fit together.
        """
        folder = Path(folder or WEIGHTS)
        with reading(folder, "recognizer.json", "recognizer.safetensors"):
            card = json.loads((folder / "recognizer.json").read_text())
            with torch.device("meta"):  # no initial weights are drawn: torch's global generator stays as it was
                config, architecture = ARCHITECTURES[card.get("architecture", "lstm")]
                net = architecture(configs.build(config, card["config"], "model."))
            net.load_state_dict(read_weights(folder / "recognizer.safetensors"), assign=True)
        return cls(net, card, device)

    def recognize(self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32) -> list[list[int]]:
        """The digits in each wave, [] for none. Nothing is rejected, as `tts.recognition.onnx_recognizer` can.

        Args: waves, each (T,) float in [-1, 1] at sample_rate Hz, of any length; the gain does not matter.

        Raises: InputError for a wave that is not one-dimensional or not finite, or a sample rate out of range.
        """
        result: list[list[int]] = [[] for _ in waves]
        for index, found in self.locate(waves, sample_rate, batch_size):
            result[index] = [place.digit for place in found]
        return result

    @torch.inference_mode()
    def locate(
        self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32
    ) -> Iterator[tuple[int, list[Place]]]:
        """For each wave with digits: its index, and where they are."""
        for indices, hidden, counts in self._outputs(waves, sample_rate, batch_size):
            paths = self.net.out(hidden).argmax(-1).cpu().numpy()
            for row, (index, count) in enumerate(zip(indices, counts.tolist(), strict=True)):
                if found := places(paths[row, :count], BLANK):
                    yield index, found

    @torch.inference_mode()
    def features(self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32) -> np.ndarray:
        """Mean over time of the last hidden layer, for distances between sets of waves: (B, D) float32.

        A wave too short to hold a digit gives zeros. Args and Raises as `recognize`.
        """
        result = np.zeros((len(waves), self.net.out.in_features), dtype=np.float32)
        for indices, hidden, counts in self._outputs(waves, sample_rate, batch_size):
            inside = mask(counts, hidden.shape[1])[:, :, None]
            result[indices] = ((hidden * inside).sum(1) / counts[:, None]).cpu().numpy()
        return result

    @torch.inference_mode()
    def digit_probabilities(self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int = 32) -> np.ndarray:
        """Probability of each digit given that a wave holds exactly one: (B, 10) float32, rows sum to 1.

        It is CTC's probability of each one-digit transcript, normalized over the ten. A wave too short to hold a digit
        gives a flat row. Args and Raises as `recognize`.
        """
        result = np.full((len(waves), 10), 0.1, dtype=np.float32)
        for indices, hidden, counts in self._outputs(waves, sample_rate, batch_size):
            log_probs = self.net.out(hidden).log_softmax(-1).repeat_interleave(10, dim=0).transpose(0, 1)
            targets = torch.arange(10, device=self.device).repeat(len(indices))[:, None]
            ones = torch.ones(len(targets), dtype=torch.int64, device=self.device)
            lengths = counts.repeat_interleave(10)
            nll = nn.functional.ctc_loss(log_probs, targets, lengths, ones, blank=BLANK, reduction="none")
            result[indices] = (-nll.view(-1, 10)).softmax(-1).cpu().numpy()
        return result

    def _outputs(
        self, waves: Sequence[np.ndarray], sample_rate: int, batch_size: int
    ) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Waves of like length together: their indices, and what the network's `hidden` gives."""
        ready = [torch.from_numpy(wave) for wave in prepared(waves, sample_rate)]
        for indices in batches([len(wave) for wave in ready], batch_size):
            lengths = torch.tensor([len(ready[i]) for i in indices], device=self.device)
            padded = nn.utils.rnn.pad_sequence([ready[i] for i in indices], batch_first=True).to(self.device)
            yield indices, *self.net.hidden(*self.front_end(padded, lengths))
