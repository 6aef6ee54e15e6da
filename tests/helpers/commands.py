"""`tts speak` as the tests of the command line call it."""

import sys

from tts.cli.main import main


def speak(voice_folder, *arguments):
    return main(["speak", *map(str, arguments), "--voice", str(voice_folder)])


def stdin(monkeypatch, folder, data: bytes):
    path = folder / "lines.txt"
    path.write_bytes(data)
    monkeypatch.setattr(sys, "stdin", path.open())


def tts_error(voice_folder, *arguments, capsys):
    assert speak(voice_folder, *arguments) == 2
    return capsys.readouterr().err
