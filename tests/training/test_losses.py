"""The objective: its parts, their counts, what micro-batches weigh."""

from dataclasses import replace

import numpy as np
import torch
from helpers.training import MODEL, data, objective, tone, vectors

from tts.training.batches import Collate
from tts.training.losses import Sums

PLAIN = replace(MODEL, prediction="none")
"""The sample tier of the paper, which alone can predict a frame without its history."""


def test_padding_does_not_count():
    """A sequence alone and padded in a batch: the same sums."""
    collate = Collate(MODEL, ("a", "b"), vectors)
    rng = np.random.default_rng(0)
    long, short = tone([3, 1], 0), tone([2], 1, "b")
    o = objective(PLAIN, next_frame_weight=0.5)
    together = torch.stack(o(collate([long, short], rng)))
    apart = torch.stack(o(collate([long], rng))) + torch.stack(o(collate([short], rng)))
    # The short one's last spectra see the padding instead of the end: the same silence, but for the dither.
    torch.testing.assert_close(together[[0, 1, 3]], apart[[0, 1, 3]], rtol=1e-4, atol=1e-3)
    counts = torch.stack(o.counts(collate([long, short], rng)))
    assert counts[0] == counts[1] * MODEL.frame_size
    assert counts[2] == counts[1] * 2 * 8


def test_weights_switch_parts_off():
    batch = data().collate([tone([3, 1], 0)], np.random.default_rng(0))
    off = objective(spectral_weight=0.0, advance_weight=0.0)
    sums, counts = off(batch), off.counts(batch)
    assert sums.spectral == 0
    assert not any("spectral" in name for name, _ in off.named_parameters())
    torch.testing.assert_close(off.total(sums, counts), sums.nll / counts.nll)
    on = objective(PLAIN, next_frame_weight=2.0)
    sums = on(batch)
    expected = sums.nll / counts.nll + sums.advance / counts.advance + sums.spectral / counts.spectral
    torch.testing.assert_close(on.total(sums, counts), expected + 2 * sums.next_frame / counts.next_frame)


def test_accumulated_micro_batches_weigh_samples_alike():
    """Two unequal micro-batches give the gradient of one batch with both."""
    collate = Collate(MODEL, ("a", "b"), vectors)
    rng = np.random.default_rng(0)
    first, second = tone([3, 1, 2], 0), tone([2], 1)
    o = objective(spectral_weight=0.0)

    def gradient(batches):
        o.zero_grad()
        counts = torch.stack([torch.stack(o.counts(batch)) for batch in batches]).sum(0)
        for batch in batches:
            o.total(o(batch), Sums(*counts)).backward()
        return o.model.output.weight.grad.clone()

    apart = gradient([collate([first], rng), collate([second], rng)])
    torch.testing.assert_close(apart, gradient([collate([first, second], rng)]), rtol=1e-3, atol=1e-6)


def test_every_parameter_learns():
    o = objective()
    batch = data().collate([tone([3, 1], 0), tone([1], 4, "b")], np.random.default_rng(0))
    o.total(o(batch), o.counts(batch)).backward()
    idle = [name for name, p in o.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []
