"""Every way to load gives the same epoch; processes share the weights or the gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tts import audio
from tts.core.errors import InputError
from tts.lab import loading
from tts.lab.experiment import Budget, Result, Run
from tts.lab.loading import Measured, Recordings, Settings, batches, in_processes, recording_files, train
from tts.models.digit_net import DigitNet, DigitNetConfig

SMALL = Settings(model=DigitNetConfig(window=512, hop=512, bins=32, dim=8), batch_size=5, naive_items=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("fsdd") / "recordings"
    place.mkdir()
    for digit in range(4):
        for take in range(3):
            wave = np.sin(np.arange(800) * (0.1 + 0.2 * digit)) * (0.1 + 0.02 * take)
            audio.write(place / f"{digit}_ann_{take}.wav", wave.astype(np.float32), 8000)
    return place.parent


def data(folder, **changes):
    settings = replace(SMALL, **changes)
    return Recordings(recording_files(folder), settings), settings


@pytest.mark.parametrize("changes", [{"load": "waves"}, {"load": "spectrograms"}, {"load": "tensor"}, {"workers": 1}])
def test_every_way_gives_the_same_epoch(folder, changes):
    expected, got = (list(batches(*data(folder, **each), seed=3)) for each in ({}, changes))
    assert [len(digits) for _, digits in got] == [5, 5, 2]
    for (inputs, digits), (own_inputs, own_digits) in zip(expected, got, strict=True):
        assert torch.equal(inputs, own_inputs) and torch.equal(digits, own_digits)
    assert sorted(torch.cat([digits for _, digits in got]).tolist()) == sorted([0, 1, 2, 3] * 3)


def test_an_epoch_is_trained_on(folder):
    own, settings = data(folder, load="tensor", epochs=20)
    torch.manual_seed(0)
    model = DigitNet(SMALL.model)
    before = loading._loss(model, own)
    measured = train(model, batches(own, settings, 0), 100.0)
    assert (measured.items, measured.updates) == (240, 48)  # 20 epochs of 12, across their ends
    assert loading._loss(model, own) < 0.95 * before
    assert train(model, batches(own, settings, 0), 0.0).updates == 1
    assert train(model, batches(own, settings, 0), 100.0, 3).updates == 3
    assert Measured(4, 1, 2.0).per_item == 0.5


def test_a_run(tmp_path, folder):
    row = loading.run(replace(SMALL, source=folder, load="tensor", pin_memory=True), Run(tmp_path, Budget(steps=2)))
    assert (row["items"], row["updates"], row["epoch"], row["share"]) == (10, 2, 12, 10 / 12)
    assert row["ratio"] == pytest.approx(row["naive_seconds"] / row["epoch_seconds"])
    assert row["pinned"] in ("yes", "no GPU to pin for")
    result = Result("epoch_time", "tensor", {}, row, 1.0, 1, 0, {}, None, "tts", Budget())
    loading.plot([result], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_hogwild_updates_shared_weights(folder):
    own, settings = data(folder, load="tensor", epochs=20, batch_size=2, parallel="hogwild", processes=2)
    model = DigitNet(SMALL.model)
    before = loading._loss(model, own)
    weights = model.gru.weight_hh_l0.detach().clone()
    measured = in_processes(model, loading._stacked(own), settings, 0, 100.0)
    assert (measured.items, measured.updates) == (240, 120)  # of both processes
    assert not torch.equal(model.gru.weight_hh_l0, weights)
    assert loading._loss(model, own) < 0.95 * before


@pytest.mark.slow
def test_data_parallel_is_training_on_the_whole_batch(folder):
    own, settings = data(folder, load="tensor", epochs=4, batch_size=6, parallel="data", processes=2)
    torch.manual_seed(0)
    alone, shared = DigitNet(SMALL.model), DigitNet(SMALL.model)
    shared.load_state_dict(alone.state_dict())
    whole = train(alone, batches(own, replace(settings, parallel="none", processes=1), 0), 100.0)
    measured = in_processes(shared, loading._stacked(own), settings, 0, 100.0)
    assert (measured.items, measured.updates) == (whole.items, whole.updates) == (48, 8)
    for one, other in zip(alone.parameters(), shared.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_settings_that_do_not_fit(tmp_path):
    for changes, reason in (
        ({"processes": 2}, "processes is 2 with parallel: none"),
        ({"processes": 2, "parallel": "data"}, "set load: tensor"),
        ({"load": "tensor", "workers": 1}, "there is nothing to load"),
        ({"load": "tensor", "processes": 2, "parallel": "data"}, "must share it equally"),
    ):
        with pytest.raises(InputError, match=reason):
            replace(SMALL, **changes)
    with pytest.raises(InputError, match="no recordings there"):
        recording_files(tmp_path)
