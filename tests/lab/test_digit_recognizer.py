"""Each recognizer of the notes learns on tones; the triplet loss, mixtures and noise are what they should be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from data_recipes.corpus import Recording
from tts.core.errors import InputError
from tts.lab import digit_recognizer
from tts.lab.digit_recognizer import Clips, Settings, class_centers, objective, train
from tts.lab.experiment import Budget, Result, Run
from tts.models.digit_net import DigitNet, DigitNetConfig, spectrograms, triplet_loss

SMALL = Settings(
    model=DigitNetConfig(window=128, hop=64, bins=40, dim=24, channels=16),
    embedding=8,
    seconds=0.12,
    batch_size=20,
    lr=1e-2,
    evaluations=1,
)


def tones(count, seed):
    rng = np.random.default_rng(seed)
    found = []
    for take in range(count):
        for digit in range(10):
            t = np.arange(640 + int(rng.integers(300))) / 8000
            wave = 0.2 * np.sin(2 * np.pi * (300 + 200 * digit) * t) + 0.002 * rng.standard_normal(len(t))
            found.append(Recording(wave.astype(np.float32), str(digit), "ann", take, 8000, f"{digit}_ann_{take}"))
    return found


@pytest.mark.parametrize(
    ("changes", "falls_to", "least"),
    [
        ({}, 0.5, 0.6),
        ({"model": replace(SMALL.model, convolutions=2)}, 0.5, 0.6),
        ({"objective": "labels"}, 0.6, 0.4),
        ({"objective": "labels", "mixing": 0.5, "noise": 0.5}, 0.7, 0.3),
        ({"objective": "triplet", "margin": 1.0}, 0.8, 0.6),
    ],
    ids=["gru", "convolutions", "labels", "mixing and noise", "triplet"],
)
def test_it_learns(tmp_path, changes, falls_to, least):
    torch.manual_seed(0)
    settings = replace(SMALL, **changes)
    results = train(settings, Run(tmp_path, Budget(steps=60)), tones(4, 0), tones(1, 1))
    inputs, targets = Clips(tones(4, 0), settings).drawn(np.random.default_rng(0))
    torch.manual_seed(0)
    before = objective(DigitNet(settings.network)(spectrograms(torch.from_numpy(inputs), settings.network)), targets,
                       settings)  # fmt: skip
    assert results["loss"] < falls_to * before.item()
    assert results["accuracy"] >= least
    counts = np.array([row.split(",") for row in results["confusion"].split(";")], int)
    assert counts.sum() == 10 and counts.trace() == round(10 * results["accuracy"])


def test_triplet_loss_by_hand():
    embeddings, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    # Anchor 0: 1 - 3 + 2.5; anchor 1: 1 - 2 + 2.5; anchor 2 has no other of its class.
    assert float(triplet_loss(embeddings, labels, 2.5)) == pytest.approx((0.5 + 1.5) / 2)
    assert float(triplet_loss(embeddings, labels, 0.5)) == 0  # no triplet violates the margin


def test_triplet_loss_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(8, 3, generator=generator), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    triplets = [
        (a, p, n)
        for a in range(8)
        for p in range(8)
        for n in range(8)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    anchor, positive, negative = (embeddings[list(each)] for each in zip(*triplets, strict=True))
    losses = functional.triplet_margin_loss(anchor, positive, negative, margin=0.4, reduction="none", eps=0)
    assert float(triplet_loss(embeddings, labels, 0.4)) == pytest.approx(float(losses[losses > 0].mean()), rel=1e-5)
    same = torch.zeros(4, 3, requires_grad=True)
    triplet_loss(same, labels[:4], 0.4).backward()
    assert torch.isfinite(same.grad).all()


def test_mixtures_and_noise():
    clips = Clips(tones(2, 0), replace(SMALL, mixing_db=(-6.0, -6.0), noise_db=(10.0, 10.0)))
    never, none = np.zeros(1, bool), np.array([-1])
    chosen, second = np.array([3]), np.array([7])
    both = clips.batch(chosen, second, never, np.random.default_rng(0))[0]
    alone = clips.batch(chosen, none, never, np.random.default_rng(0))[0]
    added = clips.batch(second, none, never, np.random.default_rng(1))[0]
    level = np.sqrt(((both - alone) ** 2).sum() / (added**2).sum())
    assert 20 * np.log10(level) == pytest.approx(-6, abs=0.1)
    noisy = clips.batch(chosen, none, ~never, np.random.default_rng(0))[0]
    snr = 10 * np.log10((alone[alone != 0] ** 2).mean() / ((noisy - alone) ** 2).mean())
    assert 6 < snr < 11  # noise at 10 dB, with or without speech at 10 dB
    assert clips.targets(chosen, second).nonzero()[:, 1].tolist() == [3, 7]
    everyone = np.arange(20)
    assert (clips.digits[clips.others(everyone, np.random.default_rng(0))] != clips.digits[everyone]).all()


def test_the_lower_bins():
    config = replace(SMALL.model, bins=10)  # 62.5 Hz each: up to 600 Hz
    t = torch.arange(960) / 8000
    low, high = (torch.sin(2 * torch.pi * hertz * t)[None] for hertz in (250.0, 2500.0))
    assert spectrograms(low, config).shape == (1, 16, 10)
    assert int(spectrograms(low, config)[0, 8].argmax()) == 4
    both = spectrograms(low + high, config)[0, 4:12]
    assert torch.allclose(both, spectrograms(low, config)[0, 4:12], atol=0.2)  # what lies above is not seen


def test_class_centers():
    centers = class_centers(torch.tensor([[0.0, 2.0], [2.0, 0.0], [5.0, 5.0]]), torch.tensor([1, 1, 4]))
    assert centers[1].tolist() == [1, 1] and centers[4].tolist() == [5, 5] and centers[0, 0] == 1e6


def test_settings_that_do_not_fit():
    with pytest.raises(InputError, match="objective: triplet a clip has one class"):
        Settings(objective="triplet", mixing=0.5)
    with pytest.raises(InputError, match="bins is 200; a window of 256 has 129"):
        DigitNetConfig(bins=200)


def test_the_plot(tmp_path):
    confusion = ";".join(",".join("3" if row == column else "0" for column in range(10)) for row in range(10))
    values = {"accuracy": 1.0, "confusion": confusion}
    result = Result("recognizer", "gru", {}, values, 1.0, 1, 0, {}, None, "tts", Budget())
    digit_recognizer.plot([result, result], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
