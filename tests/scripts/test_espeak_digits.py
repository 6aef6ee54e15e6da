"""`scripts/espeak_digits.py`: digits of eSpeak NG as files; skipped without its wheel, but for bad input."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from espeak_digits import ACCENTS, SAMPLE_RATE, VARIANTS, draw, main

from tts.evaluation.manifest import read_manifest

SCRIPT = Path(__file__).parents[2] / "scripts" / "espeak_digits.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    pytest.importorskip(
        "espeakng_loader", reason="needs the optional wheel espeakng-loader (GPL), which carries eSpeak NG"
    )
    folders = [tmp_path_factory.mktemp("espeak") / name for name in ("one", "again")]
    for folder in folders:  # each in a fresh process: what was said before lingers
        command = [sys.executable, str(SCRIPT), "--out", str(folder), "--n", "20", "--seed", "3"]
        subprocess.run(command, check=True, capture_output=True)
    return folders


def test_files_and_manifest(made):
    with (made[0] / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["text"] for row in rows) == Counter({str(digit): 2 for digit in range(10)})
    assert {path.name for path in made[0].iterdir()} == {"manifest.csv", *(row["path"] for row in rows)}
    for row in rows:
        wave, rate = soundfile.read(made[0] / row["path"])
        assert (rate, wave.ndim, soundfile.info(made[0] / row["path"]).subtype) == (SAMPLE_RATE, 1, "PCM_16")
        assert 0.3 < len(wave) / rate < 1.5
        # Nothing is cut off: silence at both ends, of the level of that around real recordings.
        assert max(np.abs(wave[:240]).max(), np.abs(wave[-240:]).max()) < 0.01
        assert np.abs(wave).max() > 0.1
        accent, _, variant = row["speaker"].partition("+")
        assert accent in ACCENTS and variant in VARIANTS
    assert len(read_manifest(made[0] / "manifest.csv", made[0])) == 20


def test_the_seed_decides(made):
    one, again = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in made)
    assert one == again


def test_the_recogniser_understands_it(made):
    from tts.recognition.model import Recognizer

    rows = read_manifest(made[0] / "manifest.csv", made[0])
    recognized = Recognizer.load().recognize([soundfile.read(row.path)[0] for row in rows], SAMPLE_RATE)
    assert sum(answer == [int(row.text)] for answer, row in zip(recognized, rows, strict=True)) >= 8


def test_drawing():
    assert list(draw(30, 1))[:12] == list(draw(12, 1))
    assert list(draw(12, 1)) != list(draw(12, 2))
    many = list(draw(600, 0))
    assert {item.speaker for item in many} == {f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS}
    assert len({item.words_per_minute for item in many}) > 50


@pytest.mark.parametrize(
    ("flags", "message"), [(["--n", "0"], "--n is 0"), (["--seed", "-1"], "--seed -1"), ([], "is not empty")]
)
def test_bad_flags(flags, message, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["--out", str(tmp_path), *flags]) == 2
    assert message in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "thesis.txt")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_a_missing_wheel_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    assert main(["--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install espeakng-loader" in error
    assert not (tmp_path / "out").exists()
