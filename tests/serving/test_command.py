"""`tts serve` as a process: its flags, its warnings, and what a signal does."""

import json
import re
import signal
import socket
import struct

import httpx
import pytest
from helpers.serving import SPEECH, wait_until

from tts import audio
from tts.cli.main import main
from tts.serving.run import warnings
from tts.serving.settings import ServerSettings


def test_a_signal_finishes_what_runs(process, voice):
    text = "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6"
    running = process("--log-level", "error", "--wyoming", "tcp://127.0.0.1:0")
    assert running.lines[-1].endswith("with the voice digits")
    port = int(re.search(r"tcp://127.0.0.1:(\d+) for Home Assistant", running.process.stderr.readline())[1])
    with (
        httpx.stream("POST", running.url + "/v1/audio/speech", json={**SPEECH, "input": text}, timeout=60) as answer,
        socket.create_connection(("127.0.0.1", port), 60) as wyoming,
    ):
        parts = answer.iter_bytes()
        first = next(parts)
        wyoming.sendall(json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n")
        begun = wyoming.recv(1000)
        running.process.send_signal(signal.SIGTERM)
        whole = first + b"".join(parts)
        spoken = begun + b"".join(iter(lambda: wyoming.recv(65536), b""))
    assert whole == audio.pcm16(voice.speak(text).samples)
    assert b'"audio-stop"' in spoken and len(spoken) > len(whole)
    assert running.process.wait(20) == 0


def test_a_signal_closes_both_addresses_at_once(process):
    running = process("--log-level", "error", "--wyoming", "tcp://127.0.0.1:0")
    wyoming = int(re.search(r"tcp://127.0.0.1:(\d+) for Home Assistant", running.process.stderr.readline())[1])
    http = int(running.url.rpartition(":")[2])
    body = json.dumps(SPEECH).encode()
    with socket.create_connection(("127.0.0.1", http), 20) as connection:
        head = (
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        connection.sendall(head % len(body) + body[:-1])
        assert httpx.get(running.url + "/ready").status_code == 200  # by then the server has the other connection too
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(http) and refuses(wyoming), 10)
        connection.sendall(body[-1:])  # what runs is finished
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        while connection.recv(65536):
            pass
    assert running.process.wait(20) == 0


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_command_warns_refuses_and_answers(process, capsys):
    wide = process("--host", "0.0.0.0", "--wyoming", "tcp://0.0.0.0:0", TTS_API_KEY="")
    assert sum("warning" in line for line in wide.lines) == 2
    assert httpx.get(wide.url + "/ready").status_code == 200
    assert main(["serve", "--port", wide.url.rpartition(":")[2]]) == 2
    assert capsys.readouterr().err.startswith("tts: error: cannot serve on 127.0.0.1 port")
    assert wide.stop(signal.SIGINT) == 0


def test_who_opens_the_server_is_warned():
    wide = ServerSettings(host="0.0.0.0", wyoming="tcp://192.168.0.2:1")
    assert [line.split()[0] for line in warnings(wide, None)] == ["0.0.0.0", "192.168.0.2"]
    assert [line.split()[0] for line in warnings(wide, "secret")] == ["192.168.0.2"]
    assert warnings(ServerSettings(wyoming="tcp://localhost:1"), None) == []
    for host, count in (("127.0.0.1.example.org", 1), ("127.1.2.3", 0), ("::1", 0), ("0:0::1", 0), ("::", 1)):
        assert len(warnings(ServerSettings(host=host), None)) == count, host


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--streams", "0"], "streams is 0"),
        (["--wyoming", "http://x"], "write tcp://HOST:PORT"),
        (["--voice", "nobody"], "there is no voice 'nobody'"),
        (["--port", "70000"], "port is 70000"),
        (["--cors", "example.org"], "--cors is 'example.org'; write an origin"),
        (["--cors", "https://example.org/"], "--cors is 'https://example.org/'; write an origin"),
    ],
)
def test_flags_that_are_refused(flags, words, capsys):
    assert main(["serve", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tts: error: ") and words in line


LONG = {**SPEECH, "input": "1 2 3 4 5 6 7 8 9 0 " * 40, "speed": 0.25}


def begin_answer(url):
    """A connection on which a long answer has begun."""
    connection = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 20)
    body = json.dumps(LONG).encode()
    head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(body) + body)
    assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    return connection


def test_an_answer_that_is_cut_is_one_line_at_most(process):
    running = process("--max-request-seconds", "1")
    for linger in (struct.pack("ii", 0, 0), struct.pack("ii", 1, 0)):  # left by an end, by a reset
        with begin_answer(running.url) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wait_until(lambda: "tts_texts_active 0.0" in httpx.get(running.url + "/metrics").text)
    with begin_answer(running.url) as late:
        while late.recv(65536):
            pass
    with begin_answer(running.url):
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(int(running.url.rpartition(":")[2])), 10)
        assert running.stop(signal.SIGTERM) == 0
    lines = running.lines[running.lines.index(f"tts: {running.url} with the voice digits") + 1 :]
    assert len([line for line in lines if "without completing" in line]) == len(lines) <= 2, lines
