"""Paths that cannot be used, full disks, broken pipes: every command ends with code 2 and one line, and cleans up."""

import argparse
import errno
import importlib
import io
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

import tts
from data_recipes import dataset
from tts.cli import bench
from tts.cli import main as cli
from tts.core import console, files
from tts.core.errors import InputError
from tts.core.messages import one_line

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tts.__file__).parents[1]

# What lies where the commands are run; see `place`.
WAV, FOLDER, PIPE, DEVICE, LOOP = "a.wav", "folder.wav", "pipe.wav", "device.wav", "loop.wav"
UNDER_A_FILE, ABSENT, STRANGE = "a.wav/x.wav", "absent/x.wav", "\udce9\n.wav"

NO_PATHS = ("", "x" * 300 + ".wav", f"{FOLDER}/{'x' * 300}", "a\0b.wav", LOOP)
HOSTILE = {
    "file in": (*NO_PATHS, UNDER_A_FILE, ABSENT, STRANGE, FOLDER, PIPE, DEVICE),
    "folder in": (*NO_PATHS, UNDER_A_FILE, ABSENT, STRANGE, WAV, PIPE, DEVICE),
    "file out": (*NO_PATHS, UNDER_A_FILE, ABSENT, FOLDER, PIPE, DEVICE),
    "folder out": (*NO_PATHS, UNDER_A_FILE, WAV, PIPE, DEVICE),
}
RELEASE = ["--command", "c", "--hardware", "h", "--minutes", "1", "--commit", "abc"]


class Surface(NamedTuple):
    """A command that is given a path, at "{}"; the first word is "tts" or the name of a script."""

    command: str
    kind: str

    def line(self, path: str) -> list[str]:
        return [word.replace("{}", path) for word in self.command.split()]


SURFACES = [
    Surface("tts speak 4 --force --voice voice -o {}", "file out"),
    Surface("tts speak 4 -o new.wav --voice {}", "folder in"),
    Surface("tts data build fsdd --source absent --out {}", "folder out"),
    Surface("tts data build sequences --out new --source {}", "folder in"),
    Surface("tts data show {}", "folder in"),
    Surface("tts recognize a.wav --recognizer {}", "folder in"),
    Surface("tts evaluate --wav-dir . --manifest m.csv --out {}", "folder out"),
    Surface("tts evaluate --wav-dir . --out new --manifest {}", "file in"),
    Surface("tts evaluate --manifest m.csv --out new --wav-dir {}", "folder in"),
    Surface("tts evaluate --out new --recognizer {}", "folder in"),
    Surface("tts evaluate --out new --voice {}", "folder in"),
    Surface("tts evaluate --voice voice --out new --baseline {}", "folder in"),
    Surface("tts evaluate --voice voice --out new --data {}", "folder in"),
    Surface("tts evaluate --n 2 --splits words --out new --source {}", "folder in"),
    Surface("tts bench --voice {}", "folder in"),
    Surface("tts bench --voice voice --force --out {}", "file out"),
    Surface("tts bench --voice voice --force --markdown {}", "file out"),
    Surface("tts bench train --config {}", "file in"),
    Surface("tts bench train --samples 9 --source {}", "folder in"),
    Surface("release_voice voice new --report {}", "file in"),
    Surface("release_voice {} new", "folder in"),
    Surface("release_voice voice {}", "folder out"),
    Surface("espeak_digits --out {}", "folder out"),
    Surface("self_training voice --out {}", "folder out"),
    Surface("self_training digits --out new --source {}", "folder in"),
    Surface("self_training --out new -- {}", "folder in"),
    Surface("evaluate_recognizer --out {}", "folder out"),
    Surface("evaluate_recognizer --out new --fsdd {}", "folder in"),
    Surface("evaluate_recognizer --out new --weights {}", "folder in"),
    Surface("evaluate_recognizer --out new --speech-commands {}", "folder in"),
    Surface("ablate ablations.yaml --out {}", "folder out"),
    Surface("compare_conditioning ablations.yaml --out {}", "folder out"),
    Surface("train_recognizer recognizer.yaml out={}", "folder out"),
    Surface("train_recognizer recognizer.yaml out=new data.source={}", "folder in"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, voice_folder):
    """A folder with something of each kind in it. No test may change it."""
    folder = tmp_path_factory.mktemp("place")
    soundfile.write(folder / WAV, np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    (folder / FOLDER).mkdir()
    os.mkfifo(folder / PIPE)
    (folder / DEVICE).symlink_to("/dev/zero")
    (folder / LOOP).symlink_to(LOOP)
    (folder / "voice").symlink_to(voice_folder)
    (folder / "m.csv").write_text("path,text\na.wav,4\n")
    for name in ("ablations.yaml", "recognizer.yaml"):
        (folder / name).write_text((ROOT / "configs" / name).read_text())
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that lies in a folder: kind and permissions; when it was changed and what is in it, of all but folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        changed = 0 if path.is_dir() else status.st_mtime_ns  # a temporary file changes its folder
        found[str(path.relative_to(folder))] = (status.st_mode, changed, content)
    return found


def run(words: list[str], monkeypatch) -> int:
    """A command in this process."""
    program, *arguments = words
    if program == "tts":
        return cli.main(arguments)
    script = importlib.import_module(program)
    arguments += RELEASE * (program == "release_voice")
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
    return script.main()


def error_line(capsys) -> str:
    """The one line of standard error; nothing is on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert captured.err == f"{line}\n"
    return line


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.command)
def test_paths_that_cannot_be_used(surface, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    before = snapshot(place)
    for path in HOSTILE[surface.kind]:
        if surface.command.startswith("train_recognizer") and not (path and path.isprintable()):
            continue  # for YAML nothing is null, which means the default, and it has no such characters
        assert run(surface.line(path), monkeypatch) == 2, path
        line = error_line(capsys)
        assert line.startswith(f"{surface.command.split()[0]}: error: "), path
        assert one_line(path)[:40] in line, path
        assert snapshot(place) == before, path


@pytest.mark.parametrize("path", NO_PATHS)
def test_no_audio_at_a_path_that_cannot_be(path, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert cli.main(["recognize", path]) == 2
    assert one_line(path)[:40] in error_line(capsys)


@pytest.mark.parametrize("path", [*NO_PATHS, ABSENT, FOLDER])
def test_a_manifest_that_names_no_file(path, place, tmp_path, monkeypatch, capsys):
    import json

    monkeypatch.chdir(place)
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"path": path, "text": "4"}))
    assert cli.main(["evaluate", "--wav-dir", ".", "--manifest", str(manifest), "--out", str(tmp_path / "out")]) == 2
    assert str(manifest) in error_line(capsys) or path in (ABSENT, FOLDER)
    assert list(tmp_path.iterdir()) == [manifest]


@pytest.mark.parametrize("cache", ["x" * 300, WAV, PIPE, LOOP])
def test_a_cache_that_cannot_be_used(cache, place, monkeypatch, capsys):
    """Nothing is downloaded, and nothing made."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("TWOTIER_TTS_CACHE", cache)
    before = snapshot(place)
    assert cli.main(["data", "build", "fsdd", "--out", "new"]) == 2
    assert cache[:40] in error_line(capsys)
    assert snapshot(place) == before


# Names


@given(st.text())
@example("\ud800")
@example("\0")
def test_every_text_is_a_path_or_refused(text):
    """And none of them is an error that nobody expects."""
    for ask in (files.kind, files.exists, files.is_file, files.is_folder):
        try:
            ask(text)
        except InputError as error:
            assert len(one_line(str(error)).splitlines()) == 1
    with suppress(argparse.ArgumentTypeError):
        assert files.path_argument(text) == Path(text)


@given(st.text())
@example("a\r\nb\x1b[2J\u2028\udce9")
def test_a_message_is_one_line(text):
    line = one_line(text)
    assert line.isprintable()
    assert line == text or not text.isprintable()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@given(name=st.binary(min_size=1).filter(lambda name: b"\n" not in name and b"\r" not in name))
@example(name="é.wav".encode())
@example(name=b"\xe9.wav")
def test_file_names_are_printed_as_they_are(encoding, name):
    """The bytes that a script reads are those of the file's name, whatever the locale."""
    stream, old = io.TextIOWrapper(io.BytesIO(), encoding=encoding), sys.stdout
    sys.stdout = stream
    try:
        assert console.run_command("test", lambda: print(os.fsdecode(name), "4 7 2", sep="\t")) == 0
    finally:
        sys.stdout = old
    assert stream.buffer.getvalue() == name + b"\t4 7 2\n"


def test_recognize_prints_any_name(place, here, monkeypatch):
    """The command itself, where standard output takes ASCII only."""
    name = "é.wav"
    Path(name).write_bytes((place / WAV).read_bytes())
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["recognize", name]) == 0
    assert stream.buffer.getvalue().startswith(os.fsencode(name) + b"\t")


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\N{GRINNING FACE}" * 63])
def test_the_longest_names_can_be_written(here, name):
    files.atomic_write(here / name, b"whole")
    assert snapshot(here)[name][2] == b"whole"


# Disks that are full


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
    rows = [dataset.Sequence(wave, "4", [4], "ann", ["a"], [4000], 8000, "seen")]
    recipe = dataset.Recipe("fsdd", "title", "description", "license", "source", {}, [], 8000)
    out = here / name
    with full_disk(), pytest.raises(InputError, match="File too large"):
        dataset.write_dataset({"train": (1, rows)}, recipe, out)
    assert list(here.iterdir()) == []
    dataset.write_dataset({"train": (1, rows)}, recipe, out)
    before = snapshot(here)
    with full_disk(), pytest.raises(InputError, match="File too large"):
        dataset.write_dataset({"train": (1, rows)}, recipe, out, force=True)
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
    import espeak_digits
    import self_training

    def fail_in(out: Path) -> None:
        (out / "half.wav").touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(out / "half.wav"))

    monkeypatch.setattr(espeak_digits, "Espeak", lambda: None)
    monkeypatch.setattr(espeak_digits, "_write", lambda espeak, out, *_: fail_in(out))
    assert espeak_digits.main(["--out", "a/out"]) == 2
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


# Errors of the operating system, from wherever they come


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - {errno.EPIPE, errno.ESHUTDOWN, errno.EINTR}))
def test_an_error_of_the_system_is_one_line(number, capsys):
    def fail() -> None:
        raise OSError(number, os.strerror(number), "some/where")

    assert console.run_command("test", fail) == 2
    assert error_line(capsys).startswith(f"test: error: some/where: {os.strerror(number)}")


# Standard streams; in processes of their own, where descriptors matter

STREAMED = "speak 4 -o - --voice voice"


def shell(command: str, buffered: bool = True, **options) -> subprocess.CompletedProcess:
    """`tts COMMAND`, redirections included."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(PACKAGE), *sys.path])
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(["bash", "-c", f"{sys.executable} -m tts {command}"], check=False, env=environment, **options)


FULL, CLOSED = ">/dev/full", ">&-"


@pytest.mark.parametrize(
    ("command", "buffered"),
    [
        (f"{command} {redirection}", buffered)
        for command, both in (("voices", True), ("--help", True), ("data list", False))
        for redirection in (FULL, CLOSED)
        for buffered in ((True, False) if both else (True,))
    ]
    + [(f"{STREAMED} {CLOSED}", True)],
)
def test_output_that_is_full_or_closed(place, command, buffered):
    done = shell(command, buffered, cwd=place)
    (line,) = done.stderr.splitlines()
    assert line.startswith(b"tts: error: ")
    assert (b"No space left on device" if FULL in command else b"closed") in line
    assert b"standard output" in line
    assert done.returncode == 2


@pytest.mark.parametrize("command", [STREAMED, "recognize a.wav", "bench --voice voice --rows native"])
def test_output_that_is_full_in_this_process(place, monkeypatch, capsys, command):
    """Of those that take seconds to start."""
    from tts.bench import report

    monkeypatch.setattr(report, "measure", lambda *_: {"rows": []})
    monkeypatch.setattr(report, "as_text", lambda _: "table")
    monkeypatch.setattr(bench, "_warn_of_load", lambda: None)
    monkeypatch.chdir(place)
    with open("/dev/full", "w") as stream:
        for name in ("stdout", "__stdout__"):
            monkeypatch.setattr(sys, name, stream)
        assert cli.main(command.split()) == 2
    reason = "standard output: No space left on device; free some space, or choose another place"
    assert error_line(capsys) == f"tts: error: {reason}"


@pytest.mark.parametrize(
    ("command", "stream", "code"),
    [
        ("voices", "stdout", 141),
        ("--help", "stdout", 141),
        ("data list", "stdout", 141),
        ("data show absent", "stderr", 2),  # its complaint is what cannot be said
        ("speak 4 -o /dev/null/x.wav", "stderr", 2),
    ],
)
def test_a_reader_that_has_left(place, command, stream, code):
    """Every command ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        done = shell(command, **{stream: pipe}, cwd=place)
    assert (done.returncode, done.stdout or b"", done.stderr or b"") == (code, b"", b"")


def test_standard_error_that_is_closed(place, voice_folder, capfdbinary):
    """What would be said is not said among the samples; the exit code stays."""
    assert cli.main(["speak", "4", "-o", "-", "--voice", str(voice_folder)]) == 0
    whole = capfdbinary.readouterr().out
    done = shell(f"{STREAMED} 2>&-", cwd=place)
    assert done.returncode == 0
    assert done.stdout[44:] == whole[44:]
    assert [shell(f"voices nonsense {stderr}", cwd=place).returncode for stderr in ("2>&-", "2>/dev/full")] == [2, 2]


def test_a_closed_descriptor_is_no_file(here, place, voice_folder):
    """Else the next file that is opened would get what is meant for standard output and standard error."""
    assert cli.main(["speak", "4", "-o", "x.wav", "--voice", str(voice_folder)]) == 0
    done = shell(f"speak 4 -o y.wav --voice {place}/voice <&- >&- 2>&-", cwd=here)
    assert done.returncode == 0
    assert Path("x.wav").read_bytes() == Path("y.wav").read_bytes()
