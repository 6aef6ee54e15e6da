"""The configuration in docs/integrations.md does what it says, as far as the programs are here."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tts import audio

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
SERVER = "http://127.0.0.1:8000"


def block(title, number=0):
    """A fenced block of the part with this title."""
    part = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    return re.findall(r"^```\w*\n(.*?)^```", part[1], re.S | re.M)[number]


@pytest.fixture
def shell(tmp_path):
    """Environment in which `tts` is this one, and `aplay` keeps what it would play in played.wav."""
    programs = tmp_path / "bin"
    programs.mkdir()
    played = tmp_path / "played.wav"
    for name, line in (("tts", f'exec {sys.executable} -m tts "$@"'), ("aplay", f"cat > {played}")):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}


def same(path, spoken):
    """Whether a file has the samples of an utterance; a stream's header does not know its size."""
    return path.read_bytes()[44:] == audio.pcm16(spoken.samples)


@pytest.mark.skipif(not shutil.which("spd-say"), reason="no spd-say: apt-get install speech-dispatcher libao4")
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="no curl or no jq: apt-get install both")
def test_speech_dispatcher(served, voice, shell, tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "twotier.conf").write_text(block("Speech Dispatcher").replace(SERVER, served.url))
    # The module opens a sound device, which it does not use; libao has one that needs no hardware.
    (tmp_path / "speechd.conf").write_text(block("Speech Dispatcher", 1) + 'AudioOutputMethod "libao"\n')
    (tmp_path / ".libao").write_text("default_driver=null\n")
    socket = tmp_path / "socket"
    environment = {**shell, "HOME": str(tmp_path), "SPEECHD_ADDRESS": f"unix_socket:{socket}"}
    flags = ["-s", "-t", "0", "-c", "unix_socket", "-S", socket, "-C", tmp_path, "-P", tmp_path / "pid", "-L", tmp_path]
    dispatcher = subprocess.Popen(["speech-dispatcher", *map(str, flags)], env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while not socket.exists():
            assert dispatcher.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)

        def say(*words):
            subprocess.run(["spd-say", "--wait", *words], env=environment, check=True, timeout=60)
            return tmp_path / "played.wav"

        assert same(say("4 7 2"), voice.speak("4 7 2", speaker="lucas"))
        assert same(say("-y", "jackson", "-r", "50", "4 7 2"), voice.speak("4 7 2", speaker="jackson", speed=1.5))
        assert same(say("-y", "theo", "-r", "-100", "8"), voice.speak("8", speaker="theo", speed=0.25))
        assert say(f"it's $(touch {tmp_path}/a) `touch {tmp_path}/a` \"; touch {tmp_path}/a").read_bytes() == b""
        assert not (tmp_path / "a").exists()
        assert same(say("four seven, two"), voice.speak("four seven, two", speaker="lucas"))
    finally:
        os.killpg(dispatcher.pid, 15)
        dispatcher.wait(10)


def test_freeswitch(voice, shell, tmp_path):
    command = ElementTree.fromstring(block("FreeSWITCH")).find("settings/param").get("value")
    engine, speaker, text = ElementTree.fromstring(block("FreeSWITCH", 1)).get("data").split("|")
    assert engine == "tts_commandline"
    file = tmp_path / "a b.tmp.wav"
    for name, value in (("text", text), ("voice", speaker), ("file", str(file))):
        command = command.replace(f"${{{name}}}", shlex.quote(value))
    subprocess.run(command, shell=True, check=True, env=shell)
    assert file.read_bytes() == audio.to_bytes(voice.speak(text, speaker=speaker).samples, 8000)


def test_asterisk(voice, shell, tmp_path):
    dialplan = block("Asterisk")
    assert "Set(NUMBER=${FILTER(0-9,${EXTEN})})" in dialplan
    command = re.search(r"System\((tts .*)\)$", dialplan, re.M)[1]
    command = command.replace("${NUMBER}", "472").replace("${FILE}", str(tmp_path / "a"))
    subprocess.run(command, shell=True, check=True, env=shell)
    assert (tmp_path / "a.wav").read_bytes() == audio.to_bytes(voice.speak("472").samples, 8000)
    header = (tmp_path / "a.wav").read_bytes()[20:36]
    assert (
        header == b"\x01\x00\x01\x00" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\x02\0\x10\0"
    )


def test_cron(voice, shell, tmp_path):
    line = block("cron").strip()
    times, command = line.split(" tts ", 1)
    assert times == "0 * * * *"
    (tmp_path / "bin" / "date").write_text('#!/bin/sh\n[ "$1" = +%H%M ] && echo 0712\n')
    (tmp_path / "bin" / "date").chmod(0o755)
    assert not re.search(r"(?<!\\)%", command)  # where cron ends the command
    subprocess.run(["sh", "-c", "tts " + command.replace("\\%", "%")], check=True, env=shell)
    assert same(tmp_path / "played.wav", voice.speak("0712"))


def test_python(served, voice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(block("Python", 1).replace(SERVER, served.url), {})
    assert same(tmp_path / "472-streamed.wav", voice.speak("4 7 2", speaker="jackson"))
