"""Errors of the operating system, and standard streams that are full, closed or left: code 2 or 141, and one line."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import error_line

import tts
from tts.cli import bench
from tts.cli import main as cli
from tts.core import console

PACKAGE = Path(tts.__file__).parents[1]


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - {errno.EPIPE, errno.ESHUTDOWN, errno.EINTR}))
def test_an_error_of_the_system_is_one_line(number, capsys):
    def fail() -> None:
        raise OSError(number, os.strerror(number), "some/where")

    assert console.run_command("test", fail) == 2
    assert error_line(capsys).startswith(f"test: error: some/where: {os.strerror(number)}")


def test_what_is_made_to_stay_is_not_searched_for_garbage():
    before = gc.get_freeze_count()
    try:
        with pytest.raises(KeyError), console.made_to_stay():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
        assert not gc.get_objects()  # of those that a collection goes through
    finally:
        gc.unfreeze()


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
