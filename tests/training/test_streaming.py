"""Training on a dataset that was built: its rows read as they are needed, and a resumed run sees the same ones."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from helpers.launch import in_two_processes
from helpers.training import metrics, run_config

from data_recipes import dataset, rows
from data_recipes.augment import AugmentOptions
from data_recipes.build import build_corpus, build_sequences
from data_recipes.corpus import Corpus, Recording, RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts.core.errors import InputError
from tts.training.config import FILLED_IN, DataConfig, ValidationConfig
from tts.training.data import TrainingData, load_data
from tts.training.loop import train

WORDS = ("cinco", "dos", "siete", "uno")


def recording(word: str, speaker: str, take: int) -> Recording:
    wave = 0.3 * np.sin(np.arange(1000 + 10 * take) * (0.1 + 0.1 * WORDS.index(word)))
    return Recording(wave.astype(np.float32), word, speaker, take, 8000, f"{word}_{speaker}_{take}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 rows in 17 groups of 3 (a last one of 2), four shards."""
    spoken = [recording(word, speaker, take) for word in WORDS for speaker in ("ana", "ben") for take in range(3)]
    corpus = Corpus(dict.fromkeys(("train", "validation", "test"), spoken), [], RecordingOptions(), languages=("es",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "ROWS_PER_SHARD", 15)
        patch.setattr(dataset, "ROWS_PER_GROUP", 3)
        options = SequenceOptions(max_digits=3, hold_outs=("unseen",))
        return build_sequences(corpus, options, tmp_path_factory.mktemp("data") / "built", count=50, eval_count=12)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "GROUPS_IN_MEMORY", 4)


def config_of(output: Path, folder: Path, **options):
    config = run_config(output, bucket=2, final_lr=1.0, **options)
    model = replace(config.model, n_speakers=FILLED_IN.n_speakers, word_dim=FILLED_IN.word_dim)
    return replace(
        config,
        data=DataConfig(dataset=folder),
        model=model,
        loss=replace(config.loss, frame_share=1.0),
        validation=ValidationConfig(spoken=0, sequences=5),
    )


def test_each_row_once_an_epoch_in_another_order(folder: Path) -> None:
    series = rows.ShuffledRows(folder, "train", seed=7)
    assert series.rows == 50
    epochs = [[tuple([*row.takes, row.boundaries[-1]]) for row in map(series.__getitem__, range(at, at + 50))]
              for at in (0, 50)]  # fmt: skip
    assert Counter(epochs[0]) == Counter(epochs[1]) and epochs[0] != epochs[1]
    written = [tuple([*row.takes, row.boundaries[-1]]) for row in map(rows.to_sequence, table_of(folder))]
    assert Counter(epochs[0]) == Counter(written) and epochs[0] != written
    other = rows.ShuffledRows(folder, "train", seed=8)
    assert [other[i].takes for i in range(50)] != [series[i].takes for i in range(50)]


def table_of(folder: Path):
    from pyarrow.parquet import ParquetDataset

    return ParquetDataset(sorted(folder.glob("data/train-*.parquet"))).read().to_pylist()


def test_any_order_of_asking_gives_the_same_rows(folder: Path) -> None:
    series, again = rows.ShuffledRows(folder, "train", 7), rows.ShuffledRows(folder, "train", 7)
    in_order = [series[i] for i in range(120)]
    for i in np.random.default_rng(0).permutation(120).tolist():
        row = again[i]
        assert np.array_equal(row.audio, in_order[i].audio) and row.audio.dtype == np.float32
        assert replace(row, audio=in_order[i].audio) == in_order[i]
        assert row.sample_rate == 8000 and row.boundaries[-1] == len(row.audio) and row.text == " ".join(row.words)


def test_few_groups_are_in_memory(folder: Path) -> None:
    series = rows.ShuffledRows(folder, "train", 7)
    for i in range(100):
        series[i]
        assert len(series._window[1]) <= 12


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    def run(output: str, steps: int, resume: bool = False, **options) -> dict[int, float]:
        config, data = load_data(config_of(tmp_path / output, folder, steps=steps, frame_dropout=0.2, **options))
        train(config, data, resume=resume)
        return metrics(tmp_path / output)

    whole = run("whole", 26)  # 52 of 50 rows: into the second epoch
    run("parts", 11)
    parts = run("parts", 26, resume=True, workers=2)
    assert parts == whole and len(whole) == 26
    assert (
        metrics(tmp_path / "parts", "validation/nll_bits")[26] == metrics(tmp_path / "whole", "validation/nll_bits")[26]
    )


def _second_half(output: str, folder: str) -> None:
    """In each of two processes: the run of one process is resumed, with half the batch each."""
    rows.GROUPS_IN_MEMORY = 4
    config, data = load_data(config_of(Path(output), Path(folder), steps=26, batch_size=1))
    train(config, data, resume=True)


@pytest.mark.slow
def test_one_process_resumed_as_two(folder: Path, tmp_path: Path) -> None:
    for output, steps in (("whole", 26), ("parts", 22)):
        config, data = load_data(config_of(tmp_path / output, folder, steps=steps, batch_size=2))
        train(config, data)
    AcceleratorState._reset_state(True)  # the forked processes find out for themselves that they are two
    in_two_processes(_second_half, str(tmp_path / "parts"), str(folder))
    whole, parts = metrics(tmp_path / "whole"), metrics(tmp_path / "parts")
    assert list(parts) == list(whole) == list(range(1, 27))
    assert list(parts.values()) == pytest.approx(list(whole.values()), rel=1e-4)


def test_what_the_dataset_was_built_with_is_filled_in(folder: Path, tmp_path: Path) -> None:
    given = config_of(tmp_path / "run", folder)
    config, data = load_data(given)
    assert config.data.sequences.hold_outs == ("unseen",) and config.model.n_speakers == 2
    assert data.vocabulary == WORDS and data.speakers == ("ana", "ben") and data.language == "es"
    assert load_data(config)[0] == config
    other = replace(given, data=DataConfig(dataset=folder, recordings=RecordingOptions(sample_rate=16_000)))
    with pytest.raises(InputError, match=r"data\.recordings is not what .* was built with; leave it out"):
        load_data(other)
    with pytest.raises(InputError, match=r"data\.speakers chooses recordings, which data\.dataset already has"):
        DataConfig(dataset=folder, speakers=("ana",))


def test_a_training_is_augmented_and_its_validation_is_not(folder: Path, tmp_path: Path) -> None:
    def loaded(**options) -> TrainingData:
        given = config_of(tmp_path / "run", folder)
        return load_data(replace(given, data=replace(given.data, augment=AugmentOptions(**options))))[1]

    plain, quiet, fast = loaded(), loaded(gain_db=(-20, -20)), loaded(speed=(1.2, 1.3))
    for i in range(4):
        assert np.allclose(quiet.stream[i].audio, plain.stream[i].audio / 10, atol=1e-6)
        assert 1.19 < len(plain.stream[i].audio) / len(fast.stream[i].audio) < 1.31
        assert fast.stream[i].boundaries[-1] == len(fast.stream[i].audio)
        assert np.array_equal(fast.stream[i].audio, fast.stream[i].audio)
        assert np.array_equal(quiet.validation[i].audio, plain.validation[i].audio)
    with pytest.raises(InputError, match="no audio files there"):
        loaded(background=tmp_path / "nowhere")


def test_recordings_alone_are_a_dataset_too(tmp_path: Path) -> None:
    spoken = [recording(word, "ana", take) for word in WORDS for take in range(2)]
    corpus = Corpus(dict.fromkeys(("train", "validation", "test"), spoken), [], RecordingOptions(), languages=())
    config, data = load_data(config_of(tmp_path / "run", build_corpus(corpus, tmp_path / "built")))
    assert {len(data.stream[i].words) for i in range(8)} == {1} and data.language == "en"
    assert config.data.sequences.edge_seconds == (0, 0)


def test_refused_datasets(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a dataset built by"):
        load_data(config_of(tmp_path / "run", tmp_path))
    parts = {
        "train": [recording("uno", "ana", 0)],
        "validation": [recording("uno", "ben", 0)],
        "test": [],
    }
    corpus = Corpus(parts, [], RecordingOptions())
    strangers = build_sequences(corpus, SequenceOptions(max_digits=1), tmp_path / "strangers", count=2, eval_count=1)
    with pytest.raises(InputError, match=r"speaker ben has rows for validation and none for training; build it with"):
        load_data(config_of(tmp_path / "run", strangers))
