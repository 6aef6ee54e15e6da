"""Rows by class of sound, of recordings and of what a voice says."""

import numpy as np
import pytest
import torch
from helpers.voices import make_voice

from data_recipes.corpus import Recording
from tts.core.errors import InputError
from tts.evaluation.softmax import Prediction, Predictor
from tts.lab import softmax
from tts.lab.experiment import Budget, Result, Run
from tts.lab.softmax import Settings, chosen


def test_classes_of_sound():
    names = [(0, "pause"), *((word, part) for word in (0, 1) for part in ("onset", "nucleus", "coda", "pause"))]
    units = np.repeat(np.arange(9), 2)
    prediction = Prediction("x", torch.empty(0), units, units, names, ["six", "2"], 8000, np.zeros(0))
    found = {sound: np.unique(units[chosen(prediction, sound)]).tolist() for sound in softmax.Sound.__args__}
    assert found == {
        "any": [*range(9)],
        "pause": [0, 4, 8],
        "fricative": [1, 3],  # the first and the last sound of "six"
        "vowel": [2, 6],
        "stop": [5],  # the t of "two", which has nothing after its vowel
        "nasal": [],
        "approximant": [],
    }


def test_rows(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    recordings = [
        Recording(rng.normal(0, 0.1, 400).astype(np.float32), word, speaker, take, 8000, "x")
        for speaker in ("ann", "zed")
        for word in "47"
        for take in range(2)
    ]
    predictor = Predictor(make_voice())
    monkeypatch.setattr(softmax, "_recordings", lambda source: recordings)
    monkeypatch.setattr(softmax, "_predictor", lambda voice: predictor)
    run = Run(tmp_path, Budget(minutes=1))
    row = softmax.run(Settings(source=tmp_path), run)
    assert (row["clips"], row["samples"]) == (2, 800)  # the first takes of the speaker that the voice has
    assert 0 <= row["unimodal"] <= 1 and 0 < row["kl_codes"] < 10 and 7 < row["entropy"] < 8  # untrained: nearly flat
    assert softmax.run(Settings(source=tmp_path), Run(tmp_path, Budget(steps=1)))["clips"] == 1
    spoken = softmax.run(Settings(source=tmp_path, what="spoken"), run)
    assert spoken["clips"] == 2 and spoken["samples"] != 800
    result = Result("softmax", "all", {}, row, 1.0, 0, 0, {}, None, "tts", Budget())
    softmax.plot([result], tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="sound is vowel; none of the 2 clips has a sample of it"):
        softmax.run(Settings(source=tmp_path, sound="vowel"), run)  # a unit of this voice is a word
    with pytest.raises(InputError, match="no recordings of zed that the voice small has"):
        softmax.run(Settings(source=tmp_path, speaker="zed"), run)
