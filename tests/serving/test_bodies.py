"""Bodies of requests: bounded before they are read, in time, answered where they are wrong."""

import json
import socket
import time

import httpx
import pytest
from helpers.serving import transcribe

from tts.serving import guards


def test_a_large_body_is_refused_before_it_is_read(small):
    with socket.create_connection(("127.0.0.1", small.port), 5) as connection:
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def chunks(connection, count):
    for _ in range(count):
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def head(path, header):
    kind = b"multipart/form-data; boundary=b" if path.endswith(b"ions") else b"application/json"
    return b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind + b"\r\n" + header + b"\r\n\r\n"


@pytest.mark.parametrize("path", [b"/v1/audio/transcriptions", b"/v1/audio/speech"])
def test_a_body_of_unknown_size_is_bounded_too(small, path):
    with socket.create_connection(("127.0.0.1", small.port), 5) as connection:
        connection.sendall(head(path, b"Transfer-Encoding: chunked"))
        if path.endswith(b"ions"):
            start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            connection.sendall(b"%x\r\n%s\r\n" % (len(start), start))
        chunks(connection, 13)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", [b"/v1/audio/transcriptions", b"/v1/audio/speech"])
def test_a_slow_body_is_refused(small, path):
    with socket.create_connection(("127.0.0.1", small.port), 10) as connection:
        connection.sendall(head(path, b"Content-Length: 100") + b"-")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"
PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"
EARLY = [
    (400, b"/v1/audio/transcriptions", FORM),  # the first bytes are not of a form
    (401, b"/v1/audio/transcriptions", b"Authorization: Bearer wrong\r\n" + FORM),
    (404, b"/v1/none", b""),
    (405, b"/v1/models", b""),
    (413, b"/v1/audio/transcriptions", FORM + b"Content-Length: %d\r\n" % (160 * len(PIECE))),
    (413, b"/v1/audio/speech", b"Content-Type: application/json\r\n"),
]


@pytest.fixture(scope="module")
def keyed(start):
    return start(key="secret", threads=1, max_upload_bytes=8 << 20, max_body_seconds=10)


def begin_post(served, path, headers):
    """A connection on which the head of a request has been sent; its body comes in chunks, if it has no length."""
    connection = socket.create_connection(("127.0.0.1", served.port), 5)
    if b"Authorization" not in headers:
        headers += b"Authorization: Bearer secret\r\n"
    encoding = b"" if b"Content-Length" in headers else b"Transfer-Encoding: chunked\r\n"
    connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + headers + encoding + b"\r\n")
    return connection


@pytest.mark.parametrize(("status", "path", "headers"), EARLY)
def test_an_answer_before_the_whole_body_is_read_after_it(keyed, monkeypatch, status, path, headers):
    monkeypatch.setattr(guards, "LINGER_SECONDS", 0.05)
    with begin_post(keyed, path, headers) as connection:
        for number in range(160):
            if number == 150:
                time.sleep(0.2)  # the answer is there, and the client still sends
            connection.sendall(PIECE)
        if b"Content-Length" not in headers:
            connection.sendall(b"0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"\r\nconnection: close" in head
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize(("status", "path", "headers"), EARLY)
def test_what_is_dropped_after_an_answer_is_bounded(keyed, monkeypatch, status, path, headers):
    monkeypatch.setattr(guards, "LINGER_BYTES", 1 << 20)
    monkeypatch.setattr(guards, "LINGER_SECONDS", 20)
    with begin_post(keyed, path, headers) as connection, pytest.raises(ConnectionError):
        for _ in range(2000):
            connection.sendall(PIECE)


def test_the_key_s_scheme_is_in_any_case(keyed):
    def status(authorization):
        return httpx.get(keyed.url + "/v1/models", headers={"Authorization": authorization}).status_code

    assert [status(f"{scheme} secret") for scheme in ("Bearer", "bearer", "BEARER")] == [200] * 3
    wrong = ("secret", "Basic secret", "Bearer", "Bearer secret2", "Bearer  secret", "Bearersecret")
    assert [status(one) for one in wrong] == [401] * len(wrong)


def test_a_body_that_is_there_keeps_the_connection(keyed):
    with httpx.Client(base_url=keyed.url, headers={"Authorization": "Bearer secret"}) as client:
        answer = client.post("/v1/audio/speech", json={"model": "nobody"})
    assert answer.status_code == 400 and "connection" not in answer.headers


HOSTILE = [
    (b"", "application/json"),
    (b"{", "application/json"),
    (b"[" * 100_000, "application/json"),
    (b'{"model": "digits", "input": ' + b"9" * 10_000 + b"}", "application/json"),
    (b'{"model": "digits", "input": "\\ud800"}', "application/json"),
    (b'{"model": "digits", "input": "4", "speed": NaN}', "application/json"),
    (b'{"model": "digits", "input": "4", "speed": 1e999}', "application/json"),
    (b'{"model": "digits", "input": "4", "seed": 1e30}', "application/json"),
    (b'{"model": "digits", "input": "4", "seed": ' + b"9" * 6000 + b"}", "application/json"),
    (b'{"model": "digits", "input": "4", "\\ud800": 1}', "application/json"),
    (b'{"model": "\\ud800", "input": "4"}', "application/json"),
    (b'{"model": "digits", "input": "\\u0000"}', "application/json"),
    (b'{"model": "digits", "input": "[999s]"}', "application/json"),
    (b'{"model": "digits", "input": "4", "voice": "../../etc"}', "application/json"),
    (b"\xff\xfe", "application/json"),
    (b"model=digits&input=4", "application/x-www-form-urlencoded"),
    (b"--b--", "multipart/form-data; boundary=b"),
    (b"x", "multipart/form-data"),
    (b"null", "application/json"),
]


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/timed", "/v1/audio/transcriptions"])
@pytest.mark.parametrize(("body", "kind"), HOSTILE, ids=[str(k) for k in range(len(HOSTILE))])
def test_hostile_bodies_are_bad_requests(served, path, body, kind):
    answer = httpx.post(served.url + path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert json.loads(answer.text)["error"]["message"]


BROKEN = [
    lambda wav: b"",
    lambda wav: b"\0" * 1000,
    lambda wav: wav[:20],
    lambda wav: wav[:44],
    lambda wav: b"fLaC" + b"\xff" * 1000,
    lambda wav: b"OggS" + b"\0" * 1000,
    lambda wav: b"\x1aE\xdf\xa3" + b"\xff" * 1000,
    lambda wav: b"\0\0\0\x20ftypM4A " + b"\0" * 1000,
    lambda wav: b"ID3" + b"\x7f" * 1000,
    lambda wav: b"\xff\xfb" + b"\0" * 1000,
    lambda wav: b"\xff\xf1" + b"\xff" * 1000,
    lambda wav: wav[:22] + b"\xff\xff" + wav[24:],
    lambda wav: wav[:24] + b"\xff\xff\xff\xff" + wav[28:],
    lambda wav: b"#EXTM3U\n/etc/passwd\n",
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_broken_recordings_are_bad_requests(served, wav, number):
    answer = transcribe(served, BROKEN[number](wav))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith("file: ")
