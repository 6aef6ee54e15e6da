"""What a training run speaks, judges and draws at its validations."""

import dataclasses
import json
import typing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_recipes.sequences import SequenceOptions
from data_recipes.splits import combination_split
from tts.core import config as configs
from tts.evaluation import callbacks
from tts.evaluation.callbacks import draw_curve, held_out_texts, keep_voice
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.training.config import RunConfig, without_local_paths
from tts.voice import VOICES, read_config


def test_judged_texts_are_combinations_that_training_never_has():
    texts = held_out_texts(40, ("repeat", "unseen"))
    assert texts == held_out_texts(40, ("repeat", "unseen"))
    assert all(combination_split(digits) == "unseen" for digits in texts)
    assert [len(digits) for digits in texts[:5]] == [2, 3, 4, 5, 2]
    assert len(set(texts)) > 30
    # Where nothing is held out nothing is new; any combination will do.
    assert {combination_split(digits) for digits in held_out_texts(200, ())} > {"unseen"}


def test_the_curve_is_drawn_of_what_was_logged(tmp_path):
    lines = [{"step": 20, "train/nll_bits": 5.0}]
    lines += [{"step": 100 * k, "validation/digit_error": 0.9 / k, "validation/minutes": 2.0 * k} for k in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = SimpleNamespace(name="mini", validation=SimpleNamespace(judged=4))
    draw_curve(SimpleNamespace(folder=tmp_path, config=config))
    first = (tmp_path / "curve.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 400, "validation/digit_error": 0.0, "validation/minutes": 8.0}) + "\n")
    draw_curve(SimpleNamespace(folder=tmp_path, config=config))
    assert (tmp_path / "curve.png").read_bytes() != first


def path_fields(cls, parents=()):
    """Names, from the outermost, of the fields of a config that hold a path, wherever its types may hide them."""
    for name, kind in typing.get_type_hints(cls).items():
        yield from path_kinds(kind, (*parents, name))


def path_kinds(kind, names):
    if dataclasses.is_dataclass(kind):
        yield from path_fields(kind, names)
    elif isinstance(kind, type) and issubclass(kind, Path):
        yield names
    else:
        for argument in typing.get_args(kind):
            yield from path_kinds(argument, names)


HERE = "/home/someone/runs"
PATHS = [path for path in path_fields(RunConfig) if path != ("data", "dataset")]  # which excludes data.source


def config_with_paths(**settings):
    tree = configs.to_dict(RunConfig(**settings))
    for *parents, last in PATHS:
        section = tree
        for parent in parents:
            section = section[parent]
        section[last] = HERE
    return configs.build(RunConfig, tree)


def test_no_path_of_a_config_is_kept():
    known = {("output",), ("data", "source"), ("data", "self_training"), ("train", "start_from")}
    assert known <= set(PATHS)
    config = configs.to_dict(config_with_paths())
    assert json.dumps(config).count(HERE) == len(PATHS)
    kept = without_local_paths(config)
    assert HERE not in json.dumps(kept)
    assert without_local_paths(kept) == kept
    # All else is there, in its place; so is what this version does not know.
    rest = dataclasses.replace(configs.build(RunConfig, kept), output=Path(HERE))
    assert configs.to_dict(rest)["loss"] == config["loss"]
    assert kept["train"] == {key: value for key, value in config["train"].items() if key != "start_from"}
    assert without_local_paths({"data": {"dataset": HERE}}) == {"data": {}}
    assert without_local_paths({"data": {"self_training": HERE, "new": 1}, "old": 2}) == {"data": {"new": 1}, "old": 2}


def test_a_run_s_voice_names_no_path(tmp_path):
    model = TwoTierConfig(n_speakers=1, dim=8, sample_dim=8, hist_size=8, text_dim=4)
    config = config_with_paths(model=model, name="mini")
    sequence = SimpleNamespace(boundaries=[800])
    data = SimpleNamespace(validation=[sequence], sample_rate=8000, speakers=["ann"])
    data.vocabulary, data.language = ("4",), "en"
    keep_voice(SimpleNamespace(model=TwoTier(model), config=config, data=data, folder=tmp_path, step=7))
    saved = read_config(tmp_path / "voice")
    assert HERE not in (tmp_path / "voice" / "config.json").read_text()
    assert saved.training == {"step": 7, "config": without_local_paths(configs.to_dict(config))}


def test_the_shipped_voices_name_no_path():
    for folder in VOICES.iterdir():
        training = read_config(folder).training
        assert without_local_paths(training["config"]) == training["config"]
        assert "runs/" not in json.dumps(training)


def test_a_voice_that_whispers_is_no_better_than_one_that_errs(monkeypatch):
    rng = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 150 * np.arange(4000) / 8000).astype(np.float32)
    whisper = rng.normal(0, 0.1, 4000).astype(np.float32)
    data = SimpleNamespace(
        validation=[SimpleNamespace(speaker=name, audio=tone) for name in ("ann", "bob")], vocabulary=("4", "7")
    )
    config = SimpleNamespace(validation=SimpleNamespace(judged=16), data=SimpleNamespace(sequences=SequenceOptions()))

    def judged(wave, recognized):
        said = SimpleNamespace(samples=wave, stop_reason="stop")
        voice = SimpleNamespace(
            speakers=("ann", "bob"), sample_rate=8000, speak_each=lambda texts, speakers: [said for _ in texts]
        )
        monkeypatch.setattr(callbacks, "voice_of", lambda snapshot: voice)
        monkeypatch.setattr(callbacks.Recognizer, "load", lambda: SimpleNamespace(recognize=recognized))
        return callbacks.Judge(config)(SimpleNamespace(data=data))

    texts = [list(map(int, words)) for words in held_out_texts(16, SequenceOptions().hold_outs, ("4", "7"))]
    clear = judged(tone, lambda waves, rate: texts)
    assert clear["digit_error"] == clear["score"] == 0 and clear["periodicity"] > 0.99
    hoarse = judged(whisper, lambda waves, rate: texts)
    assert hoarse["digit_error"] == 0 and hoarse["periodicity"] < 0.3
    assert hoarse["score"] == pytest.approx(clear["periodicity"] - hoarse["periodicity"], abs=1e-6)
    wrong = judged(tone, lambda waves, rate: [[] for _ in waves])
    assert wrong["digit_error"] == wrong["score"] == 1
