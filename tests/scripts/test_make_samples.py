"""`scripts/make_samples.py`, and the samples in the repository that it wrote."""

from pathlib import Path

import pytest
import soundfile
from make_samples import main

SHIPPED = Path(__file__).parents[2] / "docs" / "samples"
DIGITS = {"472-lucas.wav", "472-jackson.wav", "31415-yweweler.wav", "646-nicolas.wav"}
RATES = dict.fromkeys(DIGITS, 8000) | {"342016-numbers.wav": 16000}


def check(folder):
    assert {path.name for path in folder.iterdir()} - {"README.md"} == RATES.keys() | {"472.png"}
    for name, expected in RATES.items():
        wave, rate = soundfile.read(folder / name)
        assert (rate, wave.ndim) == (expected, 1)
        assert 0.5 < len(wave) / rate < 6
        assert (folder / name).stat().st_size < 200e3
    assert sum((folder / name).stat().st_size for name in RATES) < 350e3
    picture = (folder / "472.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 20e3 < len(picture) < 250e3


def test_the_samples_in_the_repository_are_small_and_whole():
    check(SHIPPED)


def test_writes_the_samples(fsdd_dir, tmp_path):
    assert main(["--source", str(fsdd_dir), "--out", str(tmp_path / "new" / "samples")]) == 0
    check(tmp_path / "new" / "samples")
    # The same voice, text, speaker and seed: the same speech as in the repository, up to ties of floating-point sums.
    for name in RATES:
        lengths = [soundfile.info(folder / name).frames for folder in (SHIPPED, tmp_path / "new" / "samples")]
        assert lengths[0] == pytest.approx(lengths[1], abs=800)


def test_a_folder_without_the_corpus_is_refused_and_nothing_is_written(tmp_path, capsys):
    assert main(["--source", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
