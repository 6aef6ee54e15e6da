"""Full disks, and errors after a folder was made: files are whole or not there, and folders as they were."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.places import WAV, error_line, snapshot

import tts
from data_recipes import dataset
from data_recipes.corpus import Corpus, RecordingOptions
from tts.cli import bench
from tts.cli import main as cli
from tts.core import files
from tts.core.errors import InputError


@contextmanager
def full_disk(limit: int = 1000) -> Iterator[None]:
    """No file may grow beyond the limit, as if the disk were full then. Python ignores the signal."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_speak_on_a_full_disk(here, voice_folder, capsys):
    for flags in ([], ["--force"]):
        with full_disk():
            assert cli.main(["speak", "4", "-o", "x.wav", "--voice", str(voice_folder), *flags]) == 2
        line = error_line(capsys)
        assert "x.wav: File too large" in line
        assert list(here.iterdir()) == []


def test_a_full_disk_leaves_the_older_file(here, voice_folder, capsys):
    Path("x.wav").write_bytes(b"precious")
    before = snapshot(here)
    with full_disk():
        assert cli.main(["speak", "4", "-o", "x.wav", "--voice", str(voice_folder), "--force"]) == 2
    assert snapshot(here) == before


@pytest.mark.parametrize("name", ["made", "x" * 255])
def test_a_dataset_on_a_full_disk(here, name):
    wave = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    rows = [dataset.Sequence(wave, "4", ["4"], "ann", ["a"], [4000], 8000, "seen")]
    recipe = dataset.Recipe(Corpus({}, [], RecordingOptions()), "fsdd", "title", "description")
    out = here / name
    with full_disk(), pytest.raises(InputError, match="File too large"):
        dataset.write_dataset({"train": (1, lambda start, stop: rows[start:stop])}, recipe, out)
    assert list(here.iterdir()) == []
    dataset.write_dataset({"train": (1, lambda start, stop: rows[start:stop])}, recipe, out)
    before = snapshot(here)
    with full_disk(), pytest.raises(InputError, match="File too large"):
        dataset.write_dataset({"train": (1, lambda start, stop: rows[start:stop])}, recipe, out, force=True)
    assert snapshot(here) == before


@pytest.mark.parametrize("limit", [1000, 50_000])
def test_a_voice_is_saved_whole_or_not_at_all(here, voice_folder, limit):
    """With the larger limit the card does not fit, which is written after the weights."""
    voice = tts.load_voice(voice_folder)
    assert (voice_folder / "model.safetensors").stat().st_size < 50_000
    with full_disk(limit), pytest.raises(InputError, match="File too large"):
        voice.save("a/b/voice", "#" * 60_000)
    assert list(here.iterdir()) == []
    voice.save("voice", "old")
    before = snapshot(here)
    with full_disk(limit), pytest.raises(InputError, match="File too large"):
        voice.save("voice", "#" * 60_000)
    assert snapshot(here) == before


def test_bench_on_a_full_disk(here, voice_folder, monkeypatch, capsys):
    """Neither of two reports where the second one does not fit."""
    from tts.bench import report

    monkeypatch.setattr(report, "measure", lambda *_: {"rows": []})
    monkeypatch.setattr(report, "as_text", lambda _: "table")
    monkeypatch.setattr(bench, "_warn_of_load", lambda: None)
    monkeypatch.setattr(report, "as_markdown", lambda _: "\udce9" * 2000)
    arguments = ["bench", "--voice", str(voice_folder), "--out", "b.json", "--markdown", "b.md"]
    with full_disk():
        assert cli.main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("tts: error: cannot write b.md: File too large")
    assert list(here.iterdir()) == []
    assert cli.main(arguments) == 0
    assert sorted(path.name for path in here.iterdir()) == ["b.json", "b.md"]


# Errors after a folder was made


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("error", [InputError, OSError, KeyboardInterrupt])
def test_a_folder_is_there_again_as_it_was(here, there, whole, error):
    path = here / "a" / "b"
    if there:
        path.mkdir(parents=True)
    before = snapshot(here)
    with pytest.raises(error), files.new_folder(path, whole):
        if whole:
            (path / "inner").mkdir()
            (path / "inner" / "file").touch()
            (path / "link").symlink_to(here)
        raise error
    assert list(before) == list(snapshot(here))


def test_what_was_in_a_folder_stays(here):
    Path("a").mkdir()
    Path("a/precious").touch()
    with pytest.raises(InputError), files.new_folder(here / "a", whole=True):
        raise InputError
    with pytest.raises(InputError), files.new_folder(here / "b"):
        Path("b/meant to stay").touch()
        raise InputError
    assert list(snapshot(here)) == ["a", "a/precious", "b", "b/meant to stay"]


class Judge:
    """In place of the recognizer: fails on one of its calls."""

    def __init__(self, fails_on: int, error: type[BaseException]) -> None:
        self.calls, self.fails_on, self.error = 0, fails_on, error

    def recognize(self, waves, sample_rate):
        self.calls += 1
        if self.calls == self.fails_on:
            raise self.error("full")
        return [[4] for _ in waves]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [InputError, OSError, KeyboardInterrupt])
def test_an_evaluation_leaves_what_can_be_resumed(place, here, monkeypatch, there, error):
    """Nothing where no block was finished; the finished blocks otherwise."""
    import torch

    from tts.evaluation import running
    from tts.evaluation.manifest import FileRow
    from tts.evaluation.systems import of_files
    from tts.evaluation.test_sets import for_texts

    rows = [FileRow(place / WAV, "4", "ann")] * (running.BLOCK + 1)
    out = here / "a" / "out"
    if there:
        out.mkdir(parents=True)
    before = list(snapshot(here))

    def run_with(judge: Judge):
        judge.net = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(judge.net.weight)
        return running.run(of_files(rows, for_texts(["4"], None, 0), judge), out)

    with pytest.raises(error):
        run_with(Judge(1, error))
    assert list(snapshot(here)) == before
    with pytest.raises(error):
        run_with(Judge(running.BLOCK + 1, error))
    assert sorted(path.name for path in out.iterdir()) == ["part-00000.jsonl", "settings.json"]
    judge = Judge(0, error)
    run_with(judge)
    assert judge.calls == 1


def test_an_evaluation_on_a_full_disk(place, here, voice_folder, capsys):
    arguments = ["--wav-dir", str(place), "--manifest", str(place / "m.csv"), "--out", "a/out"]
    with full_disk(100):
        assert cli.main(["evaluate", *arguments]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("tts: error: ")
    assert list(here.iterdir()) == []


def test_scripts_remove_the_folder_that_they_made(here, voice_folder, monkeypatch, capsys):
    import export_wavs
    import self_training

    def fail_in(out: Path) -> None:
        (out / "half.wav").touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(out / "half.wav"))

    monkeypatch.setattr(export_wavs, "read_recipe", lambda _: {"splits": {"test": {}}})
    monkeypatch.setattr(export_wavs, "_write", lambda rows, out, *_: fail_in(out))
    assert export_wavs.main(["data", "--out", "a/out"]) == 2
    assert "half.wav: No space left on device; free some space" in error_line(capsys)
    recordings = {"train": [], "validation": []}
    monkeypatch.setattr(self_training, "build_recordings", lambda *_: recordings)
    monkeypatch.setattr(self_training, "train", lambda *_: None)
    monkeypatch.setattr(self_training, "log_probabilities", lambda *_: np.zeros((1, 10)))
    monkeypatch.setattr(self_training.np, "mean", lambda _: 1.0)  # of none
    monkeypatch.setattr(self_training, "say_and_keep", lambda voice, model, args: fail_in(args.out))
    assert self_training.main([str(voice_folder), "--out", "a/out"]) == 2
    assert "half.wav: No space left on device" in capsys.readouterr().err
    assert list(here.iterdir()) == []
