"""The training objective, as sums and counts, so that every sample of a step has the same weight."""

import math
from typing import NamedTuple

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional

from tts import audio
from tts.models.two_tier import Output, TwoTier
from tts.training.batches import Batch
from tts.training.config import LossConfig


class Sums(NamedTuple):
    """Summed losses in nats (spectral: squared errors), and how many terms each sum has. All scalars."""

    nll: Tensor
    advance: Tensor
    spectral: Tensor
    next_frame: Tensor


PARTS = Sums._fields


class Objective(nn.Module):
    """The model and the auxiliary heads that only training needs."""

    wave_table: Tensor

    def __init__(self, model: TwoTier, config: LossConfig, sample_rate: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        c = model.config
        weights = (1.0, config.advance_weight, config.spectral_weight, config.next_frame_weight)
        self.weights = dict(zip(PARTS, weights, strict=True))
        if config.spectral_weight:
            self.spectral_head = nn.Linear(c.dim, len(config.spectral_offsets) * config.n_mels)
            self.mel = torchaudio.transforms.MelSpectrogram(
                sample_rate, n_fft=config.n_fft, hop_length=c.frame_size, n_mels=config.n_mels, center=True
            )
        table = torch.from_numpy(audio.decode_table(c.q_levels, c.quantization))
        self.register_buffer("wave_table", table, persistent=False)

    def forward(self, batch: Batch) -> Sums:
        """Sums of each part over the batch."""
        b = batch
        output: Output = self.model(
            b.inputs, b.units, b.n_units, b.pointer, b.speaker, loss_frames=b.loss_frames, keep_frame=b.keep_frame
        )
        target = batch.codes.unflatten(1, (-1, self.model.config.frame_size)).flatten(0, 1)[batch.loss_frames]
        zero = output.advance_logits.new_zeros(())
        advance = functional.binary_cross_entropy_with_logits(
            output.advance_logits.float(), batch.advance, weight=batch.valid.float(), reduction="sum"
        )
        next_frame = zero
        if self.config.next_frame_weight:
            next_frame = self.model.nll(self.model.run_samples(None, output.conditioning), target).sum()
        spectral = self._spectral(output.states, batch) if self.config.spectral_weight else zero
        return Sums(self.model.nll(output.samples, target).sum(), advance, spectral, next_frame)

    def counts(self, batch: Batch) -> Sums:
        """How many terms each sum of `forward` has: int64 scalars."""
        samples = torch.tensor(len(batch.loss_frames) * self.model.config.frame_size, device=batch.codes.device)
        frames = batch.valid.sum()
        return Sums(samples, frames, frames * len(self.config.spectral_offsets) * self.config.n_mels, samples)

    def total(self, sums: Sums, counts: Sums) -> Tensor:
        """The loss: each part's mean times its weight."""
        parts = zip(PARTS, sums, counts, strict=True)
        return torch.stack([self.weights[name] * s / n for name, s, n in parts if self.weights[name]]).sum()

    def _spectral(self, states: Tensor, batch: Batch) -> Tensor:
        """Squared error of the log-mel spectra around the starts of frames n + offset, from the state of frame n."""
        with torch.no_grad(), torch.autocast(states.device.type, enabled=False):
            power = self.mel(self.wave_table[batch.codes]).transpose(1, 2)
            spectrum = (power + 1e-3).log().add(1.5).div(3.5)  # (B, N + 1, mels); on speech about 0 +- 1
            place = torch.arange(states.shape[1], device=states.device)[:, None]
            place = place + torch.tensor(self.config.spectral_offsets, device=states.device)
            target = spectrum[:, place.clamp(max=spectrum.shape[1] - 1)].flatten(2)  # after the end: the last one
        error = (self.spectral_head(states).float() - target).square()
        return (error * batch.valid[..., None]).sum()


def bits(nats: float) -> float:
    """Nats to bits."""
    return nats / math.log(2)
