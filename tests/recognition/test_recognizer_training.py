"""The recognizer's training: what its batches hold, and its learning rate."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.miniature_fsdd import tone

from data_recipes.corpus import Recording
from tts.recognition.model import RecognizerConfig, RecognizerNet
from tts.recognition.training import Config, TrainConfig, Trainer, batches, spec_augment

CONFIG = Config(model=RecognizerConfig(channels=8, width=8, layers=1), train=TrainConfig(batch=4, steps=30, warmup=5))


@pytest.fixture(scope="module")
def recordings():
    return [Recording(tone(digit, 0), str(digit), "theo", 0, 8000, f"{digit}_theo_0") for digit in range(10)]


@pytest.mark.parametrize("short", [True, False])
def test_batches_do_not_depend_on_the_number_of_workers(recordings, short):
    made = [list(batches(CONFIG, recordings, short).made(range(13), workers)) for workers in (0, 2)]
    for one, other in zip(*made, strict=True):
        assert all(map(torch.equal, one, other))
    digits = [n for *_, counts in made[0] for n in counts.tolist()]
    assert min(digits) >= 0 and max(digits) == (3 if short else 8)
    for waves, lengths, targets, counts in made[0]:
        assert waves.shape == (4, max(lengths)) and len(targets) == counts.sum()
    # The waves of a batch are of like length.
    spread = [int(lengths.max() - lengths.min()) for _, lengths, *_ in made[0][:12]]
    everything = torch.cat([lengths for _, lengths, *_ in made[0][:12]])
    assert np.mean(spread) < 0.6 * int(everything.max() - everything.min())


@pytest.mark.parametrize("minutes", [None, 1.0])
def test_the_learning_rate_rises_and_falls_by_steps_or_the_clock(recordings, monkeypatch, minutes):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    config = replace(CONFIG, train=replace(CONFIG.train, minutes=minutes))
    trainer, rates = Trainer(config.out, 0, config.train, RecognizerNet(config.model), {}, {}), []
    for step, batch in enumerate(batches(config, recordings, True).made(range(30)), 1):
        trainer.train_step(step, batch)
        rates.append(trainer.optimizer.param_groups[0]["lr"] / config.train.lr)
        clock[0] += 4
        if trainer.progress >= 1:
            break
    assert len(rates) == (16 if minutes else 30)
    assert rates[:2] == pytest.approx([0.2, 0.4]) and 0.9 < max(rates) <= 1
    assert rates[-1] < 0.06 and rates[5:] == sorted(rates[5:], reverse=True)


def test_spectrograms_are_blanked_in_bands_and_stretches():
    torch.manual_seed(0)
    blank = spec_augment(torch.ones(400, 50, 40)) == 0
    bands, stretches = blank.all(1).sum(1), blank.all(2).sum(1)
    for spans, widest in ((bands, 6), (stretches, 8)):
        assert spans.max() == widest
        assert 0.4 < (spans == 0).float().mean() < 0.7
