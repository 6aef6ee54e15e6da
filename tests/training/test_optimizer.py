"""Learning rate and parameter groups."""

import pytest
from helpers.training import objective

from tts.core.errors import InputError
from tts.training.config import GroupConfig, TrainConfig
from tts.training.optimizer import learning_rate, make_optimizer


def test_learning_rate():
    config = TrainConfig(steps=110, warmup_steps=10, lr=1.0, final_lr=0.1)
    assert learning_rate(0, config) == pytest.approx(0.1)
    assert learning_rate(9, config) == pytest.approx(1.0)
    assert learning_rate(60, config) == pytest.approx(0.55)
    assert learning_rate(110, config) == pytest.approx(0.1)


def test_parameter_groups():
    o = objective()
    config = TrainConfig(groups={"model.rnn.*": GroupConfig(0.5, 0.0), "*.bias": GroupConfig(2.0)}, weight_decay=0.3)
    groups = make_optimizer(o, config).param_groups
    assert sorted((g["lr_scale"], g["weight_decay"]) for g in groups) == [(0.5, 0.0), (1.0, 0.3), (2.0, 0.3)]
    assert sum(len(g["params"]) for g in groups) == len(list(o.parameters()))
    with pytest.raises(InputError, match=r"'nothing\.\*' is the first match of no parameter"):
        make_optimizer(o, TrainConfig(groups={"nothing.*": GroupConfig()}))
