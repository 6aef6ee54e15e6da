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
from helpers.commands import speak, stdin

import tts
from tts.cli.main import main
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.voice import Voice


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
    assert speak(voice_folder, "4 7", "-o", "a.wav", "--engine", "native") == 0
    assert speak(voice_folder, "4 7", "-o", "b.wav", "--engine", "torch") == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()


def test_the_default_name(here, voice_folder):
    assert speak(voice_folder, "four 7-2") == 0
    assert [path.name for path in here.iterdir()] == ["472.wav"]


def test_a_text_in_several_arguments(here, voice_folder, capsys):
    assert speak(voice_folder, "4", "7", "2") == 0
    assert speak(voice_folder, "4", "seven-2", "-o", "a.wav") == 0
    assert main(["speak", "--voice", str(voice_folder), "-o", "b.wav", "--", "4", "-", "7", "2"]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["472.wav", "a.wav", "b.wav"]
    assert Path("b.wav").read_bytes() == Path("472.wav").read_bytes()


@pytest.mark.parametrize("arguments", [["-4-7"], ["4", "-4-7"], ["-o", "x.wav", "-4-7"], ["-4x"]], ids=str)
def test_a_text_that_looks_like_a_flag(here, voice_folder, capsys, arguments):
    """One line that says what to do; after "--" it is a text as any other."""
    assert speak(voice_folder, *arguments) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert list(here.iterdir()) == []
    assert 'a text that begins with a dash goes after "--"' in captured.err
    assert main(["speak", "--voice", str(voice_folder), "--", arguments[-1]]) == 2
    assert f"the text '{arguments[-1]}' holds a minus" in capsys.readouterr().err


def test_the_cap_is_said(here, voice_folder, capsys):
    assert speak(voice_folder, "4 7 2", "-o", "a.wav", "--max-seconds", 0.01) == 0
    assert "CUT at 0.01 s, before its end" in capsys.readouterr().err


def test_standard_output(here, voice_folder, capfdbinary):
    assert speak(voice_folder, "4 7 2", "-o", "-") == 0
    samples, rate = soundfile.read(io.BytesIO(capfdbinary.readouterr().out), dtype="float32")
    assert rate == 8000
    assert np.abs(samples - tts.load_voice(voice_folder).speak("472").samples).max() <= 2**-15
    assert list(here.iterdir()) == []


def test_a_stream_is_the_file(here, voice_folder, capfdbinary):
    """Through a pipe the header cannot be corrected; readers take what is there."""
    assert speak(voice_folder, "4 7 2", "-o", "a.wav") == 0
    piped = run_tts(voice_folder, "4 7 2", "-o", "-").stdout
    assert piped[44:] == Path("a.wav").read_bytes()[44:]
    assert piped[4:8] == piped[40:44] == b"\xff" * 4
    samples, rate = soundfile.read(io.BytesIO(piped))
    assert (len(samples), rate) == ((len(piped) - 44) // 2, 8000)
    Path("b.wav").write_bytes(piped)
    np.testing.assert_array_equal(tts.audio.read("b.wav")[0], tts.audio.read("a.wav")[0])
    with Path("c.wav").open("wb") as file:
        run_tts(voice_folder, "4 7 2", "-o", "-", stdout=file)
    assert Path("c.wav").read_bytes() == Path("a.wav").read_bytes()  # a file could be rewound
    with Path("c.wav").open("ab") as file:
        run_tts(voice_folder, "4 7 2", "-o", "-", stdout=file)
    assert Path("c.wav").read_bytes() == Path("a.wav").read_bytes() + piped


def run_tts(voice_folder, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "tts", "speak", *arguments, "--voice", str(voice_folder)],
        **{"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_lines(here, voice_folder, monkeypatch, capsys):
    stdin(monkeypatch, here.parent, b"4 7\r\n\nfour\n1")
    assert speak(voice_folder, "-", "-o", "x.wav") == 0
    assert sorted(path.name for path in here.iterdir()) == ["x-1.wav", "x-3.wav", "x-4.wav"]
    *each, total = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in each] == ["x-1.wav", "x-3.wav", "x-4.wav"]
    assert total.startswith("3 texts: ")
    voice = tts.load_voice(voice_folder)
    for path, text in (("x-1.wav", "4 7"), ("x-3.wav", "four"), ("x-4.wav", "1")):
        assert np.abs(soundfile.read(path, dtype="float32")[0] - voice.speak(text).samples).max() <= 2**-15


def test_what_comes_before_a_bad_line_is_whole(here, voice_folder, monkeypatch, capfdbinary):
    stdin(monkeypatch, here.parent, b"4 7\n\nten\n1\n")
    assert speak(voice_folder, "-", "-o", "y.wav") == 2
    assert [path.name for path in here.iterdir()] == ["y-1.wav"]
    tts.audio.read("y-1.wav")
    said, error = capfdbinary.readouterr().err.decode().splitlines()
    assert said.startswith("y-1.wav: ")
    assert error.startswith("tts: error: line 3: the voice cannot say 'ten'")
    Path("z-3.wav").write_text("precious")
    stdin(monkeypatch, here.parent, b"4 7\n\n1\n")
    assert speak(voice_folder, "-", "-o", "z.wav") == 2
    assert b"line 3: z-3.wav exists" in capfdbinary.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["y-1.wav", "z-1.wav", "z-3.wav"]
    stdin(monkeypatch, here.parent, b"4\nten\n")
    assert speak(voice_folder, "-", "-o", "-") == 2
    out = capfdbinary.readouterr().out
    assert len(soundfile.read(io.BytesIO(out))[0]) == len(tts.load_voice(voice_folder).speak("4").samples)
    stdin(monkeypatch, here.parent, b"4\n" + b"7 " * 2**20 + b"\n")
    assert speak(voice_folder, "-", "-o", "w.wav") == 2
    assert b"line 2 has more than 1048576 bytes" in capfdbinary.readouterr().err
    assert Path("w-1.wav").exists()


def test_a_line_is_said_when_it_comes(here, voice_folder):
    """From a writer that waits for the answer."""
    command = [sys.executable, "-m", "tts", "speak", "-", "-o", "x.wav", "--voice", str(voice_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for number, text in enumerate(("4", "7 2", "0"), 1):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stderr.readline().startswith(f"x-{number}.wav: ")
            assert Path(f"x-{number}.wav").exists()
        process.stdin.close()
        assert process.stderr.readline().startswith("3 texts: ")
        assert process.wait() == 0


def test_lines_to_standard_output_are_one_file(here, voice_folder, monkeypatch, capfdbinary):
    stdin(monkeypatch, here.parent, b"4\n7\n")
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


def test_voices(capsys, monkeypatch, voice_folder):
    monkeypatch.setattr("tts.voice.installed_voices", lambda: {"small": voice_folder})
    assert main(["voices"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["voice", "size", "rate", "license", "speakers", "words"]
    assert row.startswith("small")
    assert "ann, bob  digits" in row
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
        (["4", "-o", "x.wav", "--nucleus-temperature", "0.5"], "nucleus_temperature is 0.5; it needs nuclei"),
        (["4", "-o", "x.wav", "--comb-filter", "2"], "comb_filter is 2"),
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
        stdin(monkeypatch, here.parent, data)
        assert speak(voice_folder, "-", "-o", "x.wav") == 2
        assert "standard input holds no text" in capsys.readouterr().err
    stdin(monkeypatch, here.parent, b"\xff4\n")
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


@pytest.mark.parametrize("source", ["echo 4 7 2", "yes 4"])
def test_a_reader_that_leaves(here, voice_folder, source):
    """`tts speak … -o - | head -c 1` ends quietly, with lines that never end, too."""
    command = f"{source} | {sys.executable} -m tts speak - -o - --voice {voice_folder} | head -c 1 | wc -c"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.stdout.strip() == "1"
    for complaint in ("Traceback", "Exception ignored", "error"):
        assert complaint not in done.stderr


@pytest.mark.parametrize(
    ("closed", "arguments", "message"), [("<&-", "- -o x.wav", "standard input is"), (">&-", "4 -o -", "output closed")]
)
def test_closed_streams(here, voice_folder, closed, arguments, message):
    command = f"{sys.executable} -m tts speak {arguments} --voice {voice_folder} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_voice_that_native_does_not_support(here, capsys):
    """One line says so, and torch makes the samples; `--engine native` is refused."""
    torch.manual_seed(0)
    options = {"frame_size": 16, "dim": 16, "sample_dim": 16, "hist_size": 16, "word_dim": 8, "text_dim": 4}
    voice = Voice.from_model(
        TwoTier(
            TwoTierConfig(cell="gru", n_speakers=1, upsample_rank=0, duration="implicit", units_per_word=1, **options)
        ),
        speakers=["ann"],
        sample_rate=8000,
        text_encoder=TextEncoderConfig(),
        word_vectors={"4": np.ones(8, np.float32)},
        max_unit_seconds=0.2,
    )
    voice.save(here / "gru", "# gru\n")
    assert speak(here / "gru", "4", "-o", "x.wav") == 0
    warning, said = capsys.readouterr().err.splitlines()
    assert warning.startswith("tts: warning: the native engine does not support model.cell: gru; the slower torch")
    assert said.startswith("x.wav: ")
    assert speak(here / "gru", "4", "-o", "x.wav", "--force", "--engine", "native") == 2
    assert "use the engine torch" in capsys.readouterr().err
