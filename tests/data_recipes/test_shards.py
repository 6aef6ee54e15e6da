"""Building in shards: the same files whatever the process count; interruptions, damage, full disks, killed workers."""

import errno
import json
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.miniature_fsdd import tone

from data_recipes import dataset, shards
from data_recipes.build import build_corpus, build_sequences
from data_recipes.corpus import Corpus, Recording, RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts.core.errors import InputError

OPTIONS = SequenceOptions(max_digits=1)


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr(dataset, "ROWS_PER_SHARD", 7)
    monkeypatch.setattr(dataset, "ROWS_PER_GROUP", 3)
    rows = [Recording(tone(d, 0)[::4], str(d), "ann", 0, 8000, f"{d}_ann_0") for d in range(10)]
    return Corpus({name: rows for name in ("train", "validation", "test")}, [], RecordingOptions())


def build(corpus: Corpus, out: Path, num_proc: int = 1, count: int = 40) -> Path:
    return build_sequences(corpus, OPTIONS, out, count, 10, num_proc=num_proc)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_do_not_depend_on_the_process_count(corpus: Corpus, tmp_path: Path) -> None:
    one, three = build(corpus, tmp_path / "one"), build(corpus, tmp_path / "three", num_proc=3)
    assert listing(one) == listing(three) and len(list(one.glob("data/train-*-of-00006.parquet"))) == 6
    assert dataset.read_recipe(one)["splits"]["train"]["rows"] == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three"]


class Stop(Exception):
    pass


def interrupted(corpus: Corpus, out: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Build until so many shards are finished, then the error comes, a shard half-written."""
    real, written = dataset.write_parquet, []

    def write(rows: Iterable, path: Path, digits: bool) -> dict:
        if len(written) == after:
            path.write_bytes(b"PAR1 half")
            raise error
        written.append(path.name)
        return real(rows, path, digits)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_parquet", write)
        build(corpus, out)


def count_writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    real, written = dataset.write_parquet, []

    def write(rows: Iterable, path: Path, digits: bool) -> dict:
        written.append(path.name.removeprefix("."))
        return real(rows, path, digits)

    monkeypatch.setattr(dataset, "write_parquet", write)
    return written


def test_an_interrupted_build_is_resumed(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = listing(build(corpus, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(corpus, tmp_path / "out", monkeypatch, 3, KeyboardInterrupt())
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / ".out.partial" / "data").glob(".*"))  # nothing half-written
    written = count_writes(monkeypatch)
    assert listing(build(corpus, tmp_path / "out")) == whole
    assert len(written) == 10 - 3 and "train-00002-of-00006.parquet" not in written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


@pytest.mark.parametrize("damage", ["cut", "facts", "missing"])
def test_a_damaged_shard_is_written_again(
    damage: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = listing(build(corpus, tmp_path / "whole"))
    with pytest.raises(Stop):
        interrupted(corpus, tmp_path / "out", monkeypatch, 3, Stop())
    shard = tmp_path / ".out.partial" / "data" / "train-00001-of-00006.parquet"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-20])
    elif damage == "facts":
        shard.with_name(shard.name + shards.DONE).write_text("{")
    else:
        shard.unlink()
    written = count_writes(monkeypatch)
    assert listing(build(corpus, tmp_path / "out")) == whole
    assert len(written) == 8 and shard.name in written


def test_what_a_killed_process_left_half_written_goes(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = listing(build(corpus, tmp_path / "whole"))
    with pytest.raises(Stop):
        interrupted(corpus, tmp_path / "out", monkeypatch, 3, Stop())
    (tmp_path / ".out.partial" / "data" / ".train-00004-of-00006.parquet").write_bytes(b"PAR1 half")
    assert listing(build(corpus, tmp_path / "out")) == whole


def test_other_rows_begin_anew(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stop):
        interrupted(corpus, tmp_path / "out", monkeypatch, 3, Stop())
    louder = [replace(row, audio=(1.5 * row.audio).astype(np.float32)) for row in corpus.splits["train"]]
    other = replace(corpus, splits={name: louder for name in corpus.splits})
    written = count_writes(monkeypatch)
    expected = listing(build(other, tmp_path / "whole"))
    written.clear()
    assert listing(build(other, tmp_path / "out")) == expected and len(written) == 10


def test_a_full_disk_is_one_line_and_resumable(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InputError, match=r"No space left on device.*; nothing was kept") as caught:
        interrupted(corpus, tmp_path / "out", monkeypatch, 0, full)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"2 finished shards are kept in .*run again to resume"):
        interrupted(corpus, tmp_path / "out", monkeypatch, 2, full)
    written = count_writes(monkeypatch)
    build(corpus, tmp_path / "out")
    assert len(written) == 8


def test_a_worker_that_dies(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dataset.write_parquet

    def write(rows: Iterable, path: Path, digits: bool) -> dict:
        if "train-00004" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(rows, path, digits)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_parquet", write)
        with pytest.raises(InputError, match=r"a process that wrote shards ended early.*run again to resume") as caught:
            build(corpus, tmp_path / "out", num_proc=2)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    whole = listing(build(corpus, tmp_path / "whole"))
    assert listing(build(corpus, tmp_path / "out", num_proc=2)) == whole


def test_two_builds_of_one_folder(corpus: Corpus, tmp_path: Path) -> None:
    with (
        shards.partial_folder(tmp_path / "out", "plan"),
        pytest.raises(InputError, match="another process is building it"),
    ):
        build(corpus, tmp_path / "out")


def test_splits_without_recordings_are_left_out(corpus: Corpus, tmp_path: Path) -> None:
    corpus = replace(corpus, splits={**corpus.splits, "test": []})
    recipe = dataset.read_recipe(build(corpus, tmp_path / "out"))
    assert list(recipe["splits"]) == ["train", "validation"] and "test_seen, which are left out" in recipe["notes"][-1]
    assert recipe["options"]["corpus"] == "fsdd"
    assert list(dataset.read_recipe(build_corpus(corpus, tmp_path / "alone"))["splits"]) == ["train", "validation"]
    json.loads((tmp_path / "alone" / "recipe.json").read_text())
