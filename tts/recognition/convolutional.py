"""The second recognizer's network: power-law mel spectrogram, convolutions only, CTC over ten digits and blank.

It shares neither features nor layers with `model.RecognizerNet`, so that its errors are its own. Features are mel
powers to the power of 0.1, relative to the utterance's mean power and without a floor (Kim & Stern 2016, PNCC, for the
power law). Two 2-D convolutions read them as a picture; ConvNeXt blocks in one dimension follow (Liu et al. 2022;
Siuzdak 2023, Vocos, for the form used here). Nothing recurs: each frame depends on 0.8 s to both sides, however long
the utterance is.

Letters: B batch, T samples, N frames after the front end (one each 30 ms), M mel bands, D width.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
import torchaudio
from torch import Tensor, nn

from tts.core.config import Range, check

CLASSES = 11
POWER = 0.1
CENTER, SCALE = 0.5, 0.3
"""Of the features of speech, so that they are about 0 and 1."""


@dataclass(frozen=True)
class ConvolutionalConfig:
    """Shape of the network. Frequencies in Hz, lengths in samples at `sample_rate`.

    edge: silence put at both ends of every wave. channels: of the two 2-D convolutions. kernel: of the blocks, frames.
    """

    sample_rate: Annotated[int, Range(8000, 8000)] = 8000
    window: Annotated[int, Range(2, 4096)] = 256
    hop: Annotated[int, Range(1, 4096)] = 80
    mels: Annotated[int, Range(4, 1024)] = 56
    low_hz: Annotated[float, Range(0, 4000)] = 60.0
    high_hz: Annotated[float, Range(0, 4000)] = 3900.0
    edge: Annotated[int, Range(0, 8000)] = 800
    channels: tuple[Annotated[int, Range(1, 1024)], Annotated[int, Range(1, 1024)]] = (16, 24)
    width: Annotated[int, Range(1, 1024)] = 144
    kernel: Annotated[int, Range(3, 99)] = 9
    blocks: Annotated[int, Range(1, 32)] = 6
    dropout: Annotated[float, Range(0, 1, high_open=True)] = 0.1

    stride = 3  # of the first convolution, in time

    def __post_init__(self) -> None:
        check(self, "model.")


def mask(lengths: Tensor, n: int) -> Tensor:
    """(B, n) bool, True where a frame belongs to its utterance; lengths (B,) int64."""
    return torch.arange(n, device=lengths.device) < lengths[:, None]


class PowerLawFrontEnd(nn.Module):
    """Waves to power-law mel spectrograms."""

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.config = c = config
        self.mel = torchaudio.transforms.MelSpectrogram(
            c.sample_rate, 512, c.window, c.hop, c.low_hz, c.high_hz, n_mels=c.mels, pad_mode="constant", norm="slaney"
        )

    @torch.no_grad()
    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """waves (B, T) float32, zero beyond lengths (B,) int64 -> (B, frames, M) float32 about 0, and frames (B,)."""
        edge = self.config.edge
        power: Tensor = self.mel(nn.functional.pad(waves, (edge, edge))).transpose(1, 2)
        counts = (lengths + 2 * edge) // self.config.hop + 1
        inside = mask(counts, power.shape[1])[:, :, None]
        loudness = (power * inside).mean(2)
        # The mean of the loud frames: pauses of any length leave it as it is.
        loud = loudness > loudness.amax(1, keepdim=True) / 100
        level = (loudness * loud).sum(1) / loud.sum(1).clamp(min=1)
        features = (power / level.clamp(min=1e-12)[:, None, None]) ** POWER
        return ((features - CENTER) / SCALE).masked_fill(~inside, 0.0), counts


class Block(nn.Module):
    """ConvNeXt in one dimension: a convolution of each channel, then two layers on each frame, around a shortcut."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """x (B, N, D), inside (B, N, 1) -> (B, N, D); convolutions see zeros beyond an utterance's end."""
        found = self.depthwise((x * inside).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.outer(nn.functional.gelu(self.inner(self.norm(found)))))


class ConvolutionalNet(nn.Module):
    """From spectrograms to CTC log-probabilities."""

    def __init__(self, config: ConvolutionalConfig) -> None:
        super().__init__()
        self.config = c = config
        first, second = c.channels
        self.first = nn.Conv2d(1, first, 3, stride=(c.stride, 2), padding=1)
        self.second = nn.Conv2d(first, second, 3, stride=(1, 2), padding=1)
        bands = (c.mels + 3) // 4  # each convolution halves them, rounded up
        self.project = nn.Linear(second * bands, c.width)
        self.blocks = nn.ModuleList(Block(c.width, c.kernel, c.dropout) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.out = nn.Linear(c.width, CLASSES)

    def front_end(self) -> PowerLawFrontEnd:
        """What its input comes from."""
        return PowerLawFrontEnd(self.config)

    def hidden(self, mels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """mels (B, frames, M), counts (B,) -> the last layer's output (B, N, D), and lengths (B,) in frames."""
        lengths = (counts - 1) // self.config.stride + 1
        x = nn.functional.gelu(self.first(mels[:, None]))  # (B, channels, N, M / 2)
        inside = mask(lengths, x.shape[2])
        x = nn.functional.gelu(self.second(x * inside[:, None, :, None]))
        x = self.project(x.transpose(1, 2).flatten(2))
        for block in self.blocks:
            x = block(x, inside[:, :, None])
        return self.norm(x), lengths

    def forward(self, mels: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """mels (B, frames, M), counts (B,) -> log-probabilities (B, N, classes) float32 and lengths (B,) int64."""
        x, lengths = self.hidden(mels, counts)
        return self.out(x).float().log_softmax(-1), lengths
