"""`tts speak --play`, by stand-ins for a player's program and for the package sounddevice."""

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import soundfile
from helpers.commands import speak, stdin, tts_error

import tts
from tts.generation.interface import SynthesisResult
from tts.voice import Voice


def played(monkeypatch, programs, script):
    """A stand-in player on the path, and nothing else that plays."""
    player = programs / "aplay"
    player.write_text(f"#!/bin/sh\n{script}\n")
    player.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    monkeypatch.setitem(sys.modules, "sounddevice", None)


def test_play_by_a_program(here, voice_folder, monkeypatch, tmp_path_factory, capsys):
    """A stand-in player: it is given a WAV on its standard input; its failure is reported in one line."""
    programs = tmp_path_factory.mktemp("bin")
    received = programs / "received.wav"
    played(monkeypatch, programs, f'cat > {received}; echo "$@" > {programs}/flags')
    whole = tts.load_voice(voice_folder).speak("4").samples
    assert speak(voice_folder, "4", "--play") == 0
    assert np.abs(soundfile.read(received, dtype="float32")[0] - whole).max() <= 2**-15
    assert (programs / "flags").read_text().split() == ["-q", "-"]
    assert list(here.iterdir()) == []
    stdin(monkeypatch, here.parent, b"4\n4\n")
    assert speak(voice_folder, "-", "--play") == 0
    assert len(soundfile.read(received)[0]) == 2 * len(whole)
    played(monkeypatch, programs, "echo no sound card >&2; exit 1")
    capsys.readouterr()
    assert speak(voice_folder, "4", "--play") == 2
    assert "aplay cannot play (no sound card)" in capsys.readouterr().err
    played(monkeypatch, programs, "exit 0")
    assert speak(voice_folder, "1" * 1000, "--play") == 2
    assert "aplay cannot play (it ended before the text did)" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(here))
    assert speak(voice_folder, "4", "--play") == 2
    assert "finds nothing that plays sound" in capsys.readouterr().err
    assert 'pip install "twotier-tts[play]"' in tts_error(voice_folder, "4", "--play", capsys=capsys)


class FakeDevice:
    """The part of the package sounddevice that is used."""

    class PortAudioError(Exception):
        pass

    def __init__(self, broken=None):
        self.broken, self.log, self.chunks = broken, [], []

    def OutputStream(self, samplerate, channels, dtype):
        if self.broken == "open":
            raise self.PortAudioError("Error querying device -1")
        self.log.append((samplerate, channels, dtype))
        return self

    def start(self):
        self.log.append("start")

    def write(self, data):
        if self.broken == "write":
            raise self.PortAudioError("Device unavailable")
        assert data.shape[1:] == (1,)
        self.chunks.append(data[:, 0])

    def stop(self):
        self.log.append("stop")

    def close(self):
        self.log.append("close")


def test_play_by_sounddevice(here, voice_folder, monkeypatch, capsys):
    whole = tts.load_voice(voice_folder).speak("4 7 2").samples
    device = FakeDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    assert speak(voice_folder, "4 7 2", "--play", "-o", "a.wav") == 0  # both
    np.testing.assert_array_equal(np.concatenate(device.chunks), whole)
    assert device.log == [(8000, 1, "float32"), "start", "stop", "close"]
    assert len(soundfile.read("a.wav")[0]) == len(whole)
    Path("a.wav").unlink()
    for broken, message in (("open", "finds no sound device (Error querying device -1)"), ("write", "device stopped")):
        device = FakeDevice(broken)
        monkeypatch.setitem(sys.modules, "sounddevice", device)
        assert message in tts_error(voice_folder, "4", "--play", capsys=capsys).splitlines()[-1]
        assert device.log[-1:] == (["close"] if broken == "write" else [])
    assert list(here.iterdir()) == []


class FastEngine:
    """Answers at once."""

    def generate(self, requests):
        return [SynthesisResult(np.full(2000, 128, np.int16), [2000] * len(r.units), "stop", 0) for r in requests]

    def generate_each(self, requests, streams=None):
        for request in requests:
            yield from self.generate([request])


def test_memory_does_not_grow_with_the_lines(here, voice_folder, monkeypatch, capsys):
    """5,000 lines; were they kept, they would take 60 MB."""
    engine = FastEngine()
    monkeypatch.setattr(Voice, "engine", lambda *_: engine)
    device = FakeDevice()
    played = []
    monkeypatch.setattr(device, "write", lambda data: played.append(len(data)))
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    stdin(monkeypatch, here.parent, b"4 7 2\n" * 5_000)
    tracemalloc.start()
    try:
        assert speak(voice_folder, "-", "--play") == 0
        assert tracemalloc.get_traced_memory()[1] < 10e6  # what is said on stderr is kept here, too
    finally:
        tracemalloc.stop()
    assert played == [2000] * 5_000
    assert capsys.readouterr().err.splitlines()[-1].startswith("5000 texts: 1250.00 s in ")
