"""Audio without text, cut in pieces; and augmentation of any recipe's rows."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.miniature_fsdd import write_corpus

from data_recipes import dataset
from data_recipes.augment import AugmentOptions, augment, augmenter
from data_recipes.folder import load_corpus, split_of_piece
from data_recipes.rows import ShuffledRows
from data_recipes.sequences import Sequence
from tts.audio import from_bytes
from tts.cli import data as cli
from tts.core.errors import InputError


def noise(seconds: float, seed: int = 0, rate: int = 8000) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def tts_data(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.run(parser.parse_args([str(item) for item in arguments])) == 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "rain" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "rain" / "long.flac", noise(2.05), 8000)
    soundfile.write(tmp_path / "rain" / "deep" / "stereo.wav", np.stack([noise(1, 1, 16000)] * 2, 1), 16_000)
    soundfile.write(tmp_path / "rain" / "short.wav", noise(0.05), 8000)
    (tmp_path / "rain" / "notes.txt").write_text("recorded in May")
    return tmp_path / "rain"


def test_pieces(source: Path) -> None:
    corpus = load_corpus(source, piece_seconds=0.1)
    assert {name: len(rows) for name, rows in corpus.splits.items()} == {"train": 24, "validation": 3, "test": 3}
    rows = corpus.splits["train"]
    assert {len(row.audio) for row in rows} == {800} and {row.speaker for row in rows} == {"rain"}
    assert rows[0].id == "deep_stereo_0" and "1 files are shorter than a piece and were left out" in corpus.notes
    assert [split_of_piece(k, 10) for k in (0, 7, 8, 9)] == ["train", "train", "validation", "test"]
    assert split_of_piece(0, 1) == "train"


def test_a_folder_is_built_without_text(source: Path, tmp_path: Path) -> None:
    tts_data("build", "folder", "--source", source, "--out", tmp_path / "out", "--piece-seconds", 0.1, "--num-proc", 2)
    from datasets import load_dataset

    rows = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert rows[0]["text"] == "" and rows[0]["words"] == [] and rows[0]["boundaries"] == [800]


def test_folders_that_cannot_be_cut(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources, message in (
        (None, "no folder to cut"), (tmp_path / "x", "no such folder"), (tmp_path / "empty", "no audio files"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            load_corpus(sources)
    with pytest.raises(InputError, match="no file there is as long"):
        load_corpus(source, piece_seconds=10)
    (source / "bad.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"bad\.wav: the file is empty"):
        load_corpus(source)


TONE = Sequence(
    (0.1 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.float32),
    "4 7", ["4", "7"], "ann", ["a", "b"], [3000, 8000], 8000, "seen",
)  # fmt: skip


def level(wave: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(wave.astype(np.float64) ** 2)))


def test_each_change_does_what_it_says(tmp_path: Path) -> None:
    def changed(backgrounds: tuple[np.ndarray, ...] = (), **options: object) -> Sequence:
        return augment(TONE, AugmentOptions(**options), list(backgrounds), np.random.default_rng(0))

    assert np.array_equal(changed().audio, TONE.audio)
    assert level(changed(gain_db=(-6, -6)).audio) - level(TONE.audio) == pytest.approx(-6, abs=0.01)
    faster = changed(speed=(2, 2))
    assert len(faster.audio) == 4000 and faster.boundaries == [1500, 4000]
    assert np.argmax(np.abs(np.fft.rfft(faster.audio))) == 1000  # cycles in half a second: 2,000 Hz
    assert level(changed(lowpass_hz=(500, 500)).audio) < level(TONE.audio) - 60
    assert level(changed(highpass_hz=(500, 500)).audio) == pytest.approx(level(TONE.audio), abs=0.1)
    noisy = changed((noise(0.3),), snr_db=(10, 10))
    assert level(noisy.audio - TONE.audio) - level(TONE.audio) == pytest.approx(-10, abs=0.2)
    assert np.abs(changed(gain_db=(40, 40)).audio).max() <= 0.951


def test_draws_depend_on_the_row_s_number_only(tmp_path: Path) -> None:
    (tmp_path / "hum").mkdir()
    soundfile.write(tmp_path / "hum" / "hum.wav", noise(0.5), 8000)
    options = AugmentOptions(background=tmp_path / "hum", gain_db=(-6, 6), speed=(0.9, 1.1))
    first, second = augmenter(options, 8000), augmenter(options, 8000)
    assert np.array_equal(first(TONE, 7).audio, second(TONE, 7).audio)
    assert len(first(TONE, 7).audio) != len(first(TONE, 8).audio)
    other = augmenter(replace(options, augment_seed=1), 8000)
    assert len(other(TONE, 7).audio) != len(first(TONE, 7).audio)


def test_an_option_of_a_recipe_changes_train_alone(source: Path, tmp_path: Path) -> None:
    plain = ("build", "folder", "--source", source, "--piece-seconds", 0.1)
    tts_data(*plain, "--out", tmp_path / "plain")
    tts_data(*plain, "--out", tmp_path / "quiet", "--gain-db", -20, -20, "--num-proc", 2)
    from pyarrow.parquet import read_table

    def waves(name: str, split: str) -> list[np.ndarray]:
        table = read_table(tmp_path / name / "data" / f"{split}-00000-of-00001.parquet")
        return [from_bytes(row["bytes"])[0] for row in table["audio"].to_pylist()]

    assert np.allclose(waves("quiet", "train")[3], waves("plain", "train")[3] / 10, atol=1e-4)
    assert np.array_equal(waves("quiet", "test")[0], waves("plain", "test")[0])
    options = dataset.read_recipe(tmp_path / "quiet")["options"]
    assert options["augment"]["gain_db"] == [-20, -20] and "augment" not in dataset.read_recipe(tmp_path / "plain")


def test_sequences_are_augmented_too(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "fsdd")
    plain = ("build", "sequences", "--source", corpus, "--speakers", "theo", "--count", 3, "--eval-count", 2)
    tts_data(*plain, "--out", tmp_path / "plain")
    tts_data(*plain, "--out", tmp_path / "quiet", "--gain-db", -20, -20)
    for split, factor in (("train", 10), ("validation", 1)):
        first, second = (ShuffledRows(tmp_path / name, split, 0) for name in ("plain", "quiet"))
        for i in range(2):
            assert np.allclose(second[i].audio, first[i].audio / factor, atol=1e-4)
    assert dataset.read_recipe(tmp_path / "quiet")["options"]["augment"]["gain_db"] == [-20, -20]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": (3.0, 3.0)}, "speed.*0.5 to 2"),
        ({"snr_db": (10.0, 5.0)}, "first number must not be above"),
        ({"highpass_hz": (100.0, 900.0), "lowpass_hz": (800.0, 900.0)}, "leave a band"),
    ],
)
def test_options_that_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AugmentOptions(**options)


def test_background_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no audio files there"):
        augmenter(AugmentOptions(background=tmp_path), 8000)
