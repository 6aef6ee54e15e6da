"""A run's folder: one training at a time, nothing left of one that fails at once, files as the umask says."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.launch import in_two_processes
from helpers.training import Tones, data, run_config

from tts.cli.main import main
from tts.core.errors import InputError
from tts.training.folder import LOCK, opened
from tts.training.loop import Callbacks, train
from tts.training.start import started

ROOT = Path(__file__).parents[2]


class Mistake(Exception):
    pass


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_one_at_a_time(tmp_path):
    run = tmp_path / "run"
    with opened(run):
        with pytest.raises(
            InputError, match=r"another process trains in .*; wait until it ends, or give another output"
        ):
            opened(run).__enter__()
        assert everything(tmp_path) == ["run", f"run/{LOCK}"]
    with opened(run):
        pass


def test_weights_that_are_not_there(tmp_path):
    """They are looked for before data are read, and no folder is left behind."""
    config = run_config(tmp_path / "run", start_from=tmp_path / "none.safetensors")
    with (
        pytest.raises(InputError, match=r"train\.start_from is .*none\.safetensors, and nothing is there"),
        started(config),
    ):
        pytest.fail("the training began")
    assert not (tmp_path / "run").exists()


def test_the_second_command_is_refused(tmp_path, capsys):
    run = tmp_path / "run"
    with opened(run):
        before = everything(tmp_path)
        assert (
            main(
                [
                    "train",
                    str(ROOT / "configs" / "tiny.yaml"),
                    f"output={run}",
                    "data.corpus=fsdd",
                    "data.source=/nowhere",
                ]
            )
            == 2
        )
        assert everything(tmp_path) == before
    error = capsys.readouterr().err
    assert error.startswith("tts: error: another process trains in")
    assert error.count("\n") == 1


def _refused(folder: str, answers: str) -> None:
    """In one of two processes: how `started` ends."""
    try:
        with started(run_config(Path(folder))):
            ended = "started"
    except (InputError, SystemExit) as error:
        ended = f"{type(error).__name__} {error}"
    (Path(answers) / str(torch.distributed.get_rank())).write_text(ended)


def test_of_two_processes_the_main_one_says_it(tmp_path):
    """The other one neither waits for it nor repeats it."""
    run, answers = tmp_path / "run", tmp_path / "answers"
    answers.mkdir()
    with opened(run):
        in_two_processes(_refused, str(run), str(answers))
    assert (answers / "0").read_text().startswith("InputError another process trains in")
    assert (answers / "1").read_text() == "SystemExit 2"


HOLDER = """
import os, sys, time
from pathlib import Path
from tts.training.folder import opened
with opened(Path(sys.argv[1])):
    if not os.fork():  # as a data loader does
        print(os.getpid(), flush=True)  # by the worker: it has let go of the lock then
    time.sleep(60)
"""


def test_the_lock_dies_with_its_process(tmp_path):
    """At once, though a forked worker lives on, and though the lock file stays."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    try:
        with pytest.raises(InputError, match="another process trains"):
            opened(tmp_path).__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / LOCK).exists()
        with opened(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("before", [None, [], ["mine.txt"], ["old/mine.txt"]], ids=str)
def test_what_fails_at_once_leaves_what_was_there(tmp_path, before):
    run = tmp_path / "a" / "b"
    if before is not None:
        run.mkdir(parents=True)
        for name in before:
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text("kept")
    expected = everything(tmp_path)
    with pytest.raises(Mistake), opened(run):
        (run / "config.yaml").write_text("")
        (run / "tensorboard" / "x").mkdir(parents=True)
        raise Mistake
    assert everything(tmp_path) == expected


def test_what_has_done_a_step_is_kept(tmp_path):
    with pytest.raises(Mistake), opened(tmp_path / "run") as folder:
        (tmp_path / "run" / "metrics.jsonl").write_text("")
        folder.keep = True
        raise Mistake
    assert everything(tmp_path) == ["run", "run/metrics.jsonl"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/run", 300 * "x", "new/" + 300 * "x", 300 * "x" + "/run"):
        with pytest.raises(InputError, match="give another output=FOLDER"):
            opened(tmp_path / place).__enter__()
    assert everything(tmp_path) == ["file"]


class Broken:
    """Fails at the sequence of a number."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __getitem__(self, index):
        if index >= self.at:
            raise InputError("broken")
        return Tones()[index]


@pytest.mark.parametrize(("at", "kept"), [(0, False), (2, True)])
def test_a_training_that_fails_before_its_first_step_leaves_nothing(tmp_path, at, kept):
    with pytest.raises(InputError, match="broken"):
        train(run_config(tmp_path / "runs" / "new", bucket=1), data(Broken(at)))
    assert (tmp_path / "runs" / "new" / "metrics.jsonl").exists() == kept
    assert bool(everything(tmp_path)) == kept


def test_interrupted_before_its_first_step(tmp_path):
    class Interrupted:
        def __getitem__(self, index):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run_config(tmp_path / "new"), data(Interrupted()))
    assert everything(tmp_path) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_as_the_umask_says(tmp_path, umask, mode):
    known = os.umask(umask)
    try:
        train(run_config(tmp_path, steps=1), data(), Callbacks())
    finally:
        os.umask(known)
    files = [tmp_path / "config.yaml", tmp_path / "metrics.jsonl", *(tmp_path / "checkpoints").iterdir()]
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {path.name: mode for path in files}
    assert {"best.safetensors", "latest.safetensors"} <= {path.name for path in files}
