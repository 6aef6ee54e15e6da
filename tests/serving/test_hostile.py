"""Ten thousand hostile requests: each gets an answer below 500, and the server goes on."""

import collections
import concurrent.futures
import json
import random
import socket

import httpx
import pytest

from tts import audio
from tts.serving.encoding import Encoder

SPEECH, TIMED, UPLOADS = "/v1/audio/speech", "/v1/audio/speech/timed", "/v1/audio/transcriptions"
VALUES = [
    *(
        None,
        True,
        0,
        -1,
        2**63,
        10**400,
        1e308,
        -0.0,
        "",
        "\0",
        "\x1b[2J",
        "\ud800",
        "4" * 5000,
        "\u0664 \u0667",
        "4\u202e7",
    ),
    *([], {}, [[]] * 100, {"a": {}}, "[10s]" * 20, "[0.5s] 4", "../../etc/passwd", "4 " * 2000, "4/7", "<script>"),
]
FIELDS = ["model", "input", "voice", "response_format", "speed", "stream_format", "seed", "temperature", "read"]
FIELDS += ["sample_rate", "instructions", "duration_spread", "unknown"]


def speech(rng):
    """A valid request with some fields replaced, as bytes that may be cut or changed."""
    body = {"model": "digits", "input": "4", "response_format": "pcm"}
    for field in rng.sample(FIELDS, rng.randint(0, 3)):
        body[field] = rng.choice(VALUES)
    data = json.dumps(body, ensure_ascii=rng.random() < 0.9).encode(errors="surrogatepass")
    if rng.random() < 0.3:
        data = changed(rng, data)
    kind = rng.choice(["application/json"] * 6 + ["text/plain", "application/x-www-form-urlencoded", "\xff"])
    return {"url": rng.choice([SPEECH, TIMED]), "content": data, "headers": {"Content-Type": kind.encode("latin1")}}


def changed(rng, data):
    """Cut, or with some bytes replaced, or repeated."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data) + 1)]
    if rng.random() < 0.1:
        return data * 3
    data = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        if data:
            data[rng.choice([rng.randrange(len(data)), rng.randrange(min(len(data), 64))])] = rng.randrange(256)
    return bytes(data)


def upload(rng, recordings):
    data = changed(rng, rng.choice(recordings))
    form = {"model": "whisper-1", "response_format": rng.choice(["json", "text", "verbose_json", "srt", "\0"])}
    if rng.random() < 0.2:
        form["threshold"] = rng.choice(["nan", "-1", "1e400", "x" * 1000, ""])
    if rng.random() < 0.05:
        form |= {str(k): "x" for k in range(1200)}
    return {"url": UPLOADS, "files": {"file": ("a\r\n" if rng.random() < 0.1 else "a", data)}, "data": form}


def raw(rng, port):
    """Bytes that may be no HTTP: the status of the answer, 0 where the connection was closed without one."""
    head = rng.choice(
        [
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{" % rng.choice([-1, 10**30, 5]),
            b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\n\r\n",
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"GET /%00%ff/../v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
            bytes(rng.randrange(256) for _ in range(200)) + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ]
    )
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(100)
        except ConnectionResetError:
            return 0
    return int(answer.split()[1]) if answer else 0


@pytest.fixture(scope="module")
def recordings(voice):
    samples = voice.speak("4 7 2").samples
    encoded = [audio.to_bytes(samples, 8000)]
    for response_format in ("flac", "mp3", "opus", "aac"):
        encoder = Encoder(response_format, 8000, 24000)
        encoded.append(encoder.feed(samples) + encoder.finish())
    return encoded


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_requests(start, recordings, count):
    served = start(max_audio_seconds=1, max_upload_bytes=200_000, max_body_seconds=20)
    limits = httpx.Limits(max_connections=8)
    with (
        httpx.Client(base_url=served.url, timeout=60, limits=limits) as client,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):

        def ask(number):
            rng = random.Random(number)
            if rng.random() < 0.1:
                return raw(rng, served.port)
            request = speech(rng) if rng.random() < 0.5 else upload(rng, recordings)
            try:
                return client.post(**request).status_code
            except httpx.TransportError:  # closed early, with what is still on its way unread
                return -1

        statuses = collections.Counter(pool.map(ask, range(count)))
        assert max(statuses) < 500, statuses
        assert statuses[-1] <= count / 100, statuses
        assert statuses[400] > count / 4, statuses
        assert client.post(SPEECH, json={"model": "digits", "input": "4"}).status_code == 200
    assert served.service.pool.active == served.service.pool.waiting == 0
