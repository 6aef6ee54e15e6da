"""Paths that cannot be used, and names of every kind: code 2 and one line, and nothing is changed."""

import argparse
import importlib
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.places import DEVICE, FOLDER, LOOP, PIPE, WAV, error_line, snapshot
from hypothesis import example, given
from hypothesis import strategies as st

from tts.cli import main as cli
from tts.core import console, files
from tts.core.errors import InputError
from tts.core.messages import one_line

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
    Surface("export_wavs digits --out {}", "folder out"),
    Surface("export_wavs {} --out new", "folder in"),
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


def run(words: list[str], monkeypatch) -> int:
    """A command in this process."""
    program, *arguments = words
    if program == "tts":
        return cli.main(arguments)
    script = importlib.import_module(program)
    arguments += RELEASE * (program == "release_voice")
    monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
    return script.main()


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
    for ask in (files.kind, files.is_file, files.is_folder):
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
