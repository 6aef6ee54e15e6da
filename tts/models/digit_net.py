"""A small recognizer of one word: a GRU on the lower bins of a spectrogram, with convolutions before it if asked for.

Its output is a logit for each class, or, for a triplet loss, an embedding of length 1. Reference for the triplet loss:
Schroff et al. 2015, "FaceNet", arXiv 1503.03832; all triplets of a batch: Hermans et al. 2017, arXiv 1703.07737.

Letters: B batch, T samples, N frames, M bins, D width, E outputs.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from tts.core.config import Range, check
from tts.core.errors import InputError

FLOOR_DB = 80.0
Width = Annotated[int, Range(1, 4096)]


@dataclass(frozen=True)
class DigitNetConfig:
    """Everything that fixes the shapes."""

    window: Annotated[int, Range(16, 8192, even=True)] = 256
    """Samples in a window of the spectrogram."""
    hop: Annotated[int, Range(1, 8192)] = 128
    bins: Width = 64
    """M: how many of the window / 2 + 1 bins, from 0 Hz up. At 8 kHz the default is what lies below 2 kHz."""
    convolutions: Annotated[int, Range(0, 8)] = 0
    """Convolutions over time before the GRU; the first one halves the number of frames."""
    channels: Width = 64
    """Of the convolutions."""
    dim: Width = 128
    """D: width of the GRU."""
    layers: Annotated[int, Range(1, 8)] = 1
    outputs: Width = 10
    """E: classes, or the embedding's width."""
    normalized: bool = False
    """Whether the output is an embedding of length 1."""

    def __post_init__(self) -> None:
        check(self)
        if self.bins > self.window // 2 + 1:
            raise InputError(f"bins is {self.bins}; a window of {self.window} has {self.window // 2 + 1}")


def spectrograms(waves: Tensor, config: DigitNetConfig) -> Tensor:
    """(B, T) float32 to (B, N, M): decibels of the lower bins below the clip's loudest, scaled to about [-2, 2]."""
    window = torch.hann_window(config.window, device=waves.device)
    spectrum = torch.stft(waves, config.window, config.hop, window=window, pad_mode="constant", return_complex=True)
    power = spectrum[:, : config.bins].abs().square().transpose(1, 2)
    decibels = 10 * torch.log10(power + 1e-10)
    relative = decibels - decibels.amax(dim=(1, 2), keepdim=True)
    return (relative.clamp(min=-FLOOR_DB) + FLOOR_DB / 2) / 20


class DigitNet(nn.Module):
    """From spectrograms to classes or embeddings."""

    def __init__(self, config: DigitNetConfig) -> None:
        super().__init__()
        self.config = c = config
        inputs = [c.bins, *[c.channels] * c.convolutions]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, c.channels, 5, stride=1 if k else 2, padding=2) for k, size in enumerate(inputs[:-1])
        )
        self.gru = nn.GRU(inputs[-1], c.dim, num_layers=c.layers, batch_first=True)
        self.output = nn.Linear(c.dim, c.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, M) to (B, E): of the mean of the GRU's states."""
        for convolution in self.convolutions:
            x = functional.relu(convolution(x.transpose(1, 2))).transpose(1, 2)
        states, _ = self.gru(x)
        output: Tensor = self.output(states.mean(1))
        return functional.normalize(output, dim=-1) if self.config.normalized else output


def triplet_loss(embeddings: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The mean over all triplets of a batch that violate the margin; 0 where none does.

    embeddings: (B, E). labels: (B,) int. A triplet is an anchor, another item of its class and one of another class;
    its loss is max(0, distance to the first - distance to the second + margin), with Euclidean distances.
    """
    squared = (embeddings[:, None] - embeddings[None]).square().sum(-1)
    # Beside an item itself, whose distance is no triplet's; the root has no gradient at 0.
    distances = squared.clamp(min=1e-12).sqrt()
    same = labels[:, None] == labels[None]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    losses = functional.relu(distances[:, :, None] - distances[:, None, :] + margin)
    losses = losses * (positive[:, :, None] & ~same[:, None, :])
    return losses.sum() / (losses > 0).sum().clamp(min=1)
