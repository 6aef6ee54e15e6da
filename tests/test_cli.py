"""The command line, on a small untrained voice; every mistake is one line, exit code 2, and nothing left behind."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import tts
from tts.cli import main
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text import SPOKEN
from tts.text_encoder import TextEncoderConfig
from tts.voice import Voice


@pytest.fixture(scope="module")
def voice_folder(tmp_path_factory):
    torch.manual_seed(0)
    config = TwoTierConfig(frame_size=16, dim=16, sample_dim=16, hist_size=16, word_dim=8, text_dim=4, n_speakers=2)
    vectors = {word: np.eye(8, dtype=np.float32)[digit % 8] for word, digit in SPOKEN.items()}
    voice = Voice.from_model(
        TwoTier(config),
        speakers=["ann", "bob"],
        sample_rate=8000,
        text_encoder=TextEncoderConfig(),
        word_vectors=vectors,
        name="small",
        max_word_seconds=0.2,
    )
    folder = tmp_path_factory.mktemp("voices") / "small"
    voice.save(folder, "# small\n")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def speak(voice_folder, *arguments):
    return main(["speak", *map(str, arguments), "--voice", str(voice_folder)])


def stdin(monkeypatch, data: bytes):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_speak_writes_a_file(here, voice_folder, capsys):
    assert speak(voice_folder, "4 7 2", "-o", "a.wav") == 0
    samples, rate = soundfile.read("a.wav", dtype="float32")
    assert rate == 8000
    expected = tts.load_voice(voice_folder).speak("472")
    assert np.abs(samples - expected.samples).max() <= 2**-15
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    for part in ("a.wav: ", f"{expected.seconds:.2f} s in", "x real time", "speaker ann", "seed 0"):
        assert part in captured.err
    assert "stopped by itself" in captured.err or "CUT" in captured.err
    assert stat.S_IMODE(Path("a.wav").stat().st_mode) & 0o600 == 0o600


def test_options_reach_the_voice(here, voice_folder, capsys):
    assert speak(voice_folder, "4", "-o", "a.flac", "--speaker", "bob", "--seed", 5, "--temperature", 0.7) == 0
    expected = tts.load_voice(voice_folder).speak("4", speaker="bob", seed=5, temperature=0.7)
    assert np.abs(soundfile.read("a.flac", dtype="float32")[0] - expected.samples).max() <= 2**-15
    assert soundfile.info("a.flac").format == "FLAC"
    assert "speaker bob, seed 5" in capsys.readouterr().err


def test_engines_agree(here, voice_folder):
    assert speak(voice_folder, "4 7", "-o", "a.wav", "--engine", "cpu") == 0
    assert speak(voice_folder, "4 7", "-o", "b.wav", "--engine", "reference") == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_the_default_name(here, voice_folder):
    assert speak(voice_folder, "four 7-2") == 0
    assert [path.name for path in here.iterdir()] == ["472.wav"]


def test_the_cap_is_said(here, voice_folder, capsys):
    assert speak(voice_folder, "4 7 2", "-o", "a.wav", "--max-seconds", 0.01) == 0
    assert "CUT at 0.01 s, before its end" in capsys.readouterr().err


def test_standard_output(here, voice_folder, capfdbinary):
    assert speak(voice_folder, "4 7 2", "-o", "-") == 0
    samples, rate = soundfile.read(io.BytesIO(capfdbinary.readouterr().out), dtype="float32")
    assert rate == 8000
    assert np.abs(samples - tts.load_voice(voice_folder).speak("472").samples).max() <= 2**-15
    assert list(here.iterdir()) == []


def test_lines(here, voice_folder, monkeypatch, capsys):
    stdin(monkeypatch, b"4 7\r\n\nfour\n")
    assert speak(voice_folder, "-", "-o", "x.wav") == 0
    assert sorted(path.name for path in here.iterdir()) == ["x-1.wav", "x-3.wav"]
    assert len(capsys.readouterr().err.splitlines()) == 2
    stdin(monkeypatch, b"4 7\nten\n")
    assert speak(voice_folder, "-", "-o", "y.wav") == 2
    error = capsys.readouterr().err
    assert "line 2" in error
    assert "ten" in error


def test_lines_to_standard_output_are_one_file(here, voice_folder, monkeypatch, capfdbinary):
    stdin(monkeypatch, b"4\n7\n")
    assert speak(voice_folder, "-", "-o", "-") == 0
    samples, _ = soundfile.read(io.BytesIO(capfdbinary.readouterr().out))
    voice = tts.load_voice(voice_folder)
    assert len(samples) == len(voice.speak("4").samples) + len(voice.speak("7").samples)


def test_force(here, voice_folder, capsys):
    Path("a.wav").write_bytes(b"precious")
    assert speak(voice_folder, "4", "-o", "a.wav") == 2
    assert "a.wav exists; choose another name or give --force" in capsys.readouterr().err
    assert Path("a.wav").read_bytes() == b"precious"
    assert speak(voice_folder, "4", "-o", "a.wav", "--force") == 0
    assert Path("a.wav").read_bytes().startswith(b"RIFF")


def test_play(here, voice_folder, monkeypatch, tmp_path_factory, capsys):
    """A stand-in player: it is given a whole WAV file; its failure is told in one line."""
    programs = tmp_path_factory.mktemp("bin")
    heard = programs / "heard.wav"
    player = programs / "aplay"
    player.write_text(f'#!/bin/sh\ncp "$2" {heard}\n')
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    assert speak(voice_folder, "4", "--play") == 0
    assert len(soundfile.read(heard)[0]) == len(tts.load_voice(voice_folder).speak("4").samples)
    assert list(here.iterdir()) == []
    player.write_text("#!/bin/sh\necho no sound card >&2\nexit 1\n")
    capsys.readouterr()
    assert speak(voice_folder, "4", "--play") == 2
    assert "aplay cannot play (no sound card)" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(here))
    assert speak(voice_folder, "4", "--play") == 2
    assert "finds no program that plays sound" in capsys.readouterr().err


def test_voices(capsys, monkeypatch, voice_folder):
    monkeypatch.setattr(tts.voice, "VOICES", voice_folder.parent)
    assert main(["voices"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["voice", "size", "rate", "licence", "speakers"]
    assert row.startswith("small")
    assert "ann, bob" in row
    assert "8000 Hz" in row


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "-o", "x.wav"], "text"),
        (["  ", "-o", "x.wav"], "text"),
        (["4 ten", "-o", "x.wav"], "ten"),
        (["4\0", "-o", "x.wav"], "control character"),
        (["1" * 10_000, "-o", "x.wav"], "10000"),
        (["4", "-o", "x.wav", "--speaker", "eve"], "no speaker 'eve'; it has ann, bob"),
        (["4", "-o", "x.mp3"], "must end in .wav or .flac"),
        (["4", "-o", "none/x.wav"], "the folder none does not exist"),
        (["4", "-o", "."], "must end in"),
        (["4", "-o", "x.wav", "--temperature", "0"], "temperature is 0"),
        (["4", "-o", "x.wav", "--temperature", "nan"], "temperature is nan"),
        (["4", "-o", "x.wav", "--temperature", "hot"], "--temperature"),
        (["4", "-o", "x.wav", "--max-seconds", "0"], "max_seconds is 0"),
        (["4", "-o", "x.wav", "--max-seconds", "inf"], "max_seconds is inf"),
        (["4", "-o", "x.wav", "--seed", "-1"], "seed is -1"),
        (["4", "-o", "x.wav", "--engine", "gpu"], "invalid choice: 'gpu'"),
        (["4", "--nonsense"], "--nonsense"),
        (["-"], "need a place to go"),
    ],
    ids=str,
)
def test_mistakes(here, voice_folder, capsys, arguments, message):
    assert speak(voice_folder, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("tts: error: ")
    assert len(captured.err.splitlines()) == 1
    assert list(here.iterdir()) == []


def test_no_lines(here, voice_folder, monkeypatch, capsys):
    for data in (b"", b"\n \n"):
        stdin(monkeypatch, data)
        assert speak(voice_folder, "-", "-o", "x.wav") == 2
        assert "standard input holds no text" in capsys.readouterr().err
    stdin(monkeypatch, b"\xff4\n")
    assert speak(voice_folder, "-", "-o", "x.wav") == 2
    assert "line 1" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["nobody", "/nowhere/at/all", "\0", "x" * 5000])
def test_unknown_voice(here, capsys, name):
    assert main(["speak", "4", "-o", "x.wav", "--voice", name]) == 2
    assert "there is no voice" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_parent_that_is_a_file(here, voice_folder, capsys):
    Path("f").write_text("")
    assert speak(voice_folder, "4", "-o", "f/x.wav") == 2
    assert "the folder f does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["speak"], ["data"], ["data", "build", "nothing"]], ids=str)
def test_mistyped_commands(capsys, arguments):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "--help" in error


def test_help_imports_nothing_heavy():
    code = "import sys; from tts.cli import make_parser; make_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "datasets", "numba", "soundfile"} & set(done.stdout.split())


def test_speaking_imports_no_torch(here, voice_folder):
    code = (
        "import sys; from tts.cli import main; "
        f"main(['speak', '4', '-o', 'x.wav', '--voice', {str(voice_folder)!r}]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "datasets"} & set(done.stdout.split())


def test_a_reader_that_leaves(here, voice_folder):
    """`tts speak … -o - | head -c 1` ends quietly."""
    command = f"{sys.executable} -m tts speak '4 7 2' -o - --voice {voice_folder} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ})
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
