"""`scripts/export_wavs.py`: rows of a dataset as files with a manifest that `tts evaluate` reads."""

import csv

import numpy as np
import pytest
import soundfile
from export_wavs import main
from helpers.miniature_fsdd import tone

from data_recipes.build import build_corpus
from data_recipes.corpus import Corpus, Recording, RecordingOptions
from tts.evaluation.manifest import read_manifest


@pytest.fixture
def folder(tmp_path):
    rows = [Recording(tone(d, 0), str(d), "ann", 0, 8000, f"{d}_ann_0") for d in range(5)]
    corpus = Corpus({name: rows for name in ("train", "validation", "test")}, [], RecordingOptions())
    return build_corpus(corpus, tmp_path / "data")


def test_files_and_manifest(folder, tmp_path):
    out = tmp_path / "out"
    assert main([str(folder), "--out", str(out), "--edge-seconds", "0.05", "--n", "3"]) == 0
    with (out / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["text"], row["speaker"]) for row in rows] == [
        ("00000.wav", "0", "ann"), ("00001.wav", "1", "ann"), ("00002.wav", "2", "ann"),
    ]  # fmt: skip
    wave, rate = soundfile.read(out / "00001.wav", dtype="float32")
    assert rate == 8000 and not wave[:400].any() and not wave[-400:].any()
    assert np.abs(wave[400:-400] - tone(1, 0)).max() <= 2**-14
    assert len(read_manifest(out / "manifest.csv", out)) == 3


@pytest.mark.parametrize(
    ("flags", "message"), [(["--n", "0"], "--n is 0"), (["--split", "x"], "no split 'x'"), ([], "is not empty")]
)
def test_bad_flags(flags, message, folder, tmp_path, capsys):
    place = folder if not flags else tmp_path / "out"
    assert main([str(folder), "--out", str(place), *flags]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and error.startswith("export_wavs: error: ")
    assert not (tmp_path / "out").exists()
