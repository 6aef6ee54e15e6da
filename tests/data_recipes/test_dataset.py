"""Dataset folders: what is written is what `load_dataset` reads, whole or not at all."""

import argparse
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from helpers.miniature_fsdd import write_corpus

from data_recipes import dataset
from data_recipes.build import build_sequences
from data_recipes.corpus import Corpus, Recording, RecordingOptions
from data_recipes.dataset import push_to_hub
from data_recipes.fsdd import SPEAKERS, build_recordings
from data_recipes.sequences import SequenceOptions, SequenceStream
from data_recipes.splits import combination_split
from tts.audio import from_bytes
from tts.cli import data as cli
from tts.core.errors import InputError
from tts.evaluation.test_sets import read_rows

SMALL = ("--count", "30", "--eval-count", "10")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("fsdd"))


def tts_data(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args([str(item) for item in arguments]))


def build(recipe: str, source: Path, out: Path, *more: object) -> Path:
    assert tts_data("build", recipe, "--source", source, "--out", out, "--speakers", "theo", *more) == 0
    return out


def load(folder: Path, tmp_path: Path):
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_recordings_come_back_as_they_were(source: Path, tmp_path: Path) -> None:
    loaded = load(build("fsdd", source, tmp_path / "out"), tmp_path)
    recordings = build_recordings(source, speakers=("theo",))
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 420, "validation": 30, "test": 50}
    for name, rows in recordings.items():
        assert loaded[name].features == dataset.features(8000)
        for row, recording in zip(loaded[name], rows, strict=True):
            audio, rate = from_bytes(row["audio"]["bytes"])
            assert rate == 8000 and np.abs(audio - recording.audio).max() <= 2**-15
            assert (row["text"], row["digits"], row["speaker"]) == (str(recording.digit), [recording.digit], "theo")
            assert (row["takes"], row["boundaries"]) == ([recording.id], [len(recording.audio)])


def test_sequences_come_back_as_they_were(source: Path, tmp_path: Path) -> None:
    loaded = load(build("sequences", source, tmp_path / "out", *SMALL, "--seed", "3"), tmp_path)
    assert list(loaded) == ["train", "validation", "test_seen", "test_unseen", "bigram", "position", "length", "repeat"]
    assert [len(rows) for rows in loaded.values()] == [30] + 7 * [10]
    stream = SequenceStream(build_recordings(source, speakers=("theo",))["train"], SequenceOptions(), 3)
    for index, row in enumerate(loaded["train"]):
        audio, _ = from_bytes(row["audio"]["bytes"])
        assert np.abs(audio - stream[index].audio).max() <= 2**-15
        assert row["boundaries"] == stream[index].boundaries and row["boundaries"][-1] == len(audio)
        assert row["text"] == stream[index].text == " ".join(map(str, row["digits"]))
    takes = {name: {take for row in rows for take in row["takes"]} for name, rows in loaded.items()}
    assert not takes["train"] & takes["validation"]
    assert not (takes["train"] | takes["validation"]) & set().union(*(takes[name] for name in list(takes)[2:]))
    said = {tuple(row["digits"]) for row in loaded["train"]}
    assert all(combination_split(digits) == "seen" for digits in said)


def test_same_arguments_same_bytes(source: Path, tmp_path: Path) -> None:
    first = build("sequences", source, tmp_path / "first", *SMALL)
    second = build("sequences", source, tmp_path / "second", *SMALL)
    assert listing(first) == listing(second)


def test_many_shards_read_as_one_split(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "ROWS_PER_SHARD", 7)
    out = build("sequences", source, tmp_path / "out", *SMALL, "--max-digits", "1")
    assert len(list(out.glob("data/train-*-of-00005.parquet"))) == 5
    loaded = load(out, tmp_path)
    assert list(loaded) == ["train", "validation", "test_seen"] and len(loaded["train"]) == 30
    assert {len(row["digits"]) for row in loaded["train"]} == {1}


def test_the_card_and_show_say_what_was_built(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = build(
        "sequences", source, tmp_path / "out", *SMALL, "--max-digits", "2", "--gap-seconds", "0.1", "0.2",
        "--hold-outs", "unseen", "--level-dbfs", "none", "--no-trim", "--keep-dc",
    )  # fmt: skip
    card = (out / "README.md").read_text()
    options = json.loads(card.split("```json")[1].split("```")[0])
    assert options == json.loads((out / "recipe.json").read_text())["options"]
    assert options["sequences"]["gap_seconds"] == [0.1, 0.2] and options["sequences"]["hold_outs"] == ["unseen"]
    recordings = options["recordings"]
    assert (recordings["level_dbfs"], recordings["trim"], recordings["remove_dc"]) == (None, False, False)
    assert "not those of revision 26eb9aa" in card and "cc-by-sa-4.0" in card and str(source) not in card
    capsys.readouterr()
    assert tts_data("show", out) == 0
    shown = capsys.readouterr().out
    assert "recipe sequences, 8000 Hz" in shown and '"max_digits": 2' in shown
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith("train ")] == [["train", "30"]]


def test_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert tts_data("list") == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(cli.RECIPES)


def test_an_older_folder_stays_without_force_and_goes_with_it(source: Path, tmp_path: Path) -> None:
    out = build("sequences", source, tmp_path / "out", *SMALL)
    before = listing(out)
    with pytest.raises(InputError, match="--force"):
        build("fsdd", source, out)
    assert listing(out) == before
    build("fsdd", source, out, "--force")
    assert sorted(path.name for path in (out / "data").iterdir()) == [
        f"{name}-00000-of-00001.parquet" for name in ("test", "train", "validation")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert cli.show(build("fsdd", source, tmp_path / "out"))


def test_force_replaces_no_folder_of_other_things(source: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mother.txt").write_text("dear")
    with pytest.raises(InputError, match="not a dataset that was built here"):
        build("fsdd", source, tmp_path / "letters", "--force")
    assert (tmp_path / "letters" / "to_mother.txt").read_text() == "dear"


@pytest.mark.parametrize("place", ["missing/out", "file/out", "file"])
def test_places_that_cannot_be_written_are_refused(source: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another place"):
        build("fsdd", source, tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_on_the_way_leaves_the_older_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = build("sequences", source, tmp_path / "out", *SMALL)
    before = listing(out)

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset, "_card", full)
    with pytest.raises(InputError, match="No space left on device"):
        build("fsdd", source, out, "--force")
    assert listing(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", ".out.partial"}  # its shards are finished
    monkeypatch.undo()
    assert cli.show(build("fsdd", source, out, "--force")).startswith(f"{out}: recipe fsdd")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_bad_recording_leaves_nothing(source: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    (copy / "8_theo_31.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"8_theo_31\.wav"):
        build("fsdd", copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("damage", ["no recipe", "bad recipe", "cut shard", "missing shard"])
def test_show_refuses_what_is_not_whole(source: Path, tmp_path: Path, damage: str) -> None:
    out = build("fsdd", source, tmp_path / "out")
    shard = out / "data" / "test-00000-of-00001.parquet"
    if damage == "no recipe":
        (out / "recipe.json").unlink()
    elif damage == "bad recipe":
        (out / "recipe.json").write_text("[]")
    elif damage == "cut shard":
        shard.write_bytes(shard.read_bytes()[:-20])
    else:
        shard.unlink()
    with pytest.raises(InputError, match=str(out)):
        tts_data("show", out)


@pytest.mark.parametrize("bad", [("--count", 0), ("--eval-count", -1), ("--seed", -1), ("--max-digits", 0)])
def test_numbers_out_of_range_are_refused(source: Path, tmp_path: Path, bad: tuple[str, int]) -> None:
    with pytest.raises(InputError):
        build("sequences", source, tmp_path / "out", *bad)
    assert not (tmp_path / "out").exists()


def test_push_uploads_the_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Api:
        def create_repo(self, name: str, **options: object) -> types.SimpleNamespace:
            calls.append((name, options))
            return types.SimpleNamespace(repo_id=name)

        def upload_folder(self, **options: object) -> None:
            calls.append((options["repo_id"], options))

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    out = build("fsdd", source, tmp_path / "out", "--push-to-hub", "me/digits")
    assert [name for name, _ in calls] == ["me/digits", "me/digits"]
    assert all(options["repo_type"] == "dataset" for _, options in calls) and calls[1][1]["folder_path"] == out


def test_push_errors_are_one_line(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="OWNER/NAME"):
        build("fsdd", source, tmp_path / "out", "--push-to-hub", "not a name")
    assert not (tmp_path / "out").exists()

    class Api:
        def create_repo(self, *_: object, **__: object) -> None:
            raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(InputError, match="no route to host") as caught:
        push_to_hub(tmp_path, "me/digits")
    assert "\n" not in str(caught.value)


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import argparse, sys; from tts.cli import data as cli; cli.add_arguments(argparse.ArgumentParser()); "
        "print([name for name in ('numpy', 'torch', 'datasets', 'soundfile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_real_corpus_is_built_whole(fsdd_dir: Path, tmp_path: Path) -> None:
    assert tts_data("build", "fsdd", "--source", fsdd_dir, "--out", tmp_path / "out") == 0
    recipe = dataset.read_recipe(tmp_path / "out")
    assert recipe["notes"] == []
    assert {name: split["rows"] for name, split in recipe["splits"].items()} == {
        "train": 2520, "validation": 180, "test": 300,
    }  # fmt: skip
    assert all(list(split["speakers"]) == list(SPEAKERS) for split in recipe["splits"].values())


def test_a_dataset_needs_no_audio_decoder(source: Path) -> None:
    stream = SequenceStream(build_recordings(source, speakers=("theo",))["train"], SequenceOptions(), 0)
    rows = Dataset(dataset._table([stream[0], stream[1]], digits=True))
    assert rows.features == dataset.features(8000) and "torchcodec" not in sys.modules


def test_a_dataset_of_other_words_has_no_digits(tmp_path: Path) -> None:
    wave = 0.1 * np.ones(800, np.float32)
    rows = [Recording(wave, word, "ann", 0, 8000, word) for word in ("hundred", "three")]
    corpus = Corpus({"train": rows, "validation": rows, "test": rows}, [], RecordingOptions())
    folder = build_sequences(corpus, SequenceOptions(max_digits=2), tmp_path / "words", count=8, eval_count=2)
    train = load(folder, tmp_path)["train"]
    assert "digits" not in train.column_names
    assert all(" ".join(row["words"]) == row["text"] for row in train)
    assert {word for row in train for word in row["words"]} == {"hundred", "three"}
    with pytest.raises(InputError, match="words that are no digits"):
        list(read_rows(folder, "train", ["ann"]))
