"""The HTTP server beyond the official client: limits, keys, streams that are left, answers to what is wrong."""

import asyncio
import concurrent.futures
import json
import re
import shutil
import signal
import socket
import time

import httpx
import numpy as np
import pytest

from tts import audio
from tts.cli.main import main
from tts.serving import guards
from tts.serving.http import make_app
from tts.serving.run import warnings
from tts.serving.settings import ServerSettings
from tts.voice import VOICES, load_voice

SPEECH = {"model": "digits", "input": "4 7 2", "response_format": "pcm", "sample_rate": 8000}
LONG = "1 2 3 4 5 6 7 8 9 0 " * 40


def post(served, path="/v1/audio/speech", timeout=30, **changes):
    return httpx.post(served.url + path, json={**SPEECH, **changes}, timeout=timeout)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def wav(voice):
    return audio.to_bytes(voice.speak("4 7 2", seed=3).samples, voice.sample_rate)


@pytest.fixture(scope="module")
def small(start):
    """One place, a queue of one, and low limits."""
    return start(threads=1, streams=1, queue=1, max_upload_bytes=50_000, max_upload_seconds=3, max_body_seconds=1)


def test_timed_speech(served, voice):
    answer = post(served, "/v1/audio/speech/timed", response_format="wav").json()
    spoken = voice.speak("4 7 2")
    assert answer["seconds"] == spoken.seconds
    assert [word["word"] for word in answer["words"]] == spoken.words
    units = [unit for word in answer["words"] for unit in word["units"]]
    assert [(unit["unit"], unit["end"]) for unit in units] == [(s.unit, s.end / 8000) for s in spoken.segments]
    assert (answer["stop_reason"], answer["speaker"], answer["sample_rate"]) == ("stop", spoken.speaker, 8000)


def test_a_seed_gives_the_same_samples_under_load(served, voice):
    texts = [f"{k} {(3 * k) % 10}" for k in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda k: post(served, input=texts[k], seed=k).content, range(12)))
    for k in range(0, 12, 3):
        assert answers[k] == audio.pcm16(voice.speak(texts[k], seed=k).samples)


def test_voices(served, voice):
    found = httpx.get(f"{served.url}/v1/audio/voices").json()
    assert [one["id"] for one in found["voices"]] == ["default", *voice.speakers]
    assert found["vocabulary"] == list(voice.vocabulary)
    assert found["limits"]["seed"] == [0, 2**53 - 1]
    assert found["sample_rate"] == voice.sample_rate


def test_health_and_metrics(served):
    assert httpx.get(f"{served.url}/health").json()["status"] == "ok"
    assert httpx.get(f"{served.url}/ready").status_code == 200
    post(served)
    text = httpx.get(f"{served.url}/metrics").text
    assert 'tts_requests_total{kind="speech",outcome="done"}' in text
    assert "tts_first_chunk_seconds_bucket" in text and "process_resident_memory_bytes" in text


@pytest.mark.parametrize(
    "path", ["/", "/page.js", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/v1/models"]
)
def test_head_is_get_without_a_body(served, path):
    answer, whole = httpx.head(served.url + path), httpx.get(served.url + path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == whole.headers["content-type"]
    assert httpx.head(served.url + "/v1/audio/speech").status_code == 405


def test_the_schema_names_our_errors(served):
    schema = httpx.get(f"{served.url}/openapi.json").json()
    page = httpx.get(f"{served.url}/docs").text
    for path in schema["paths"]:
        assert path in page
    assert "<td>speed<td>number from 0.25 to 4<td>1.0<td>" in page
    assert "<td>voice<td>default, george, jackson," in page
    answers = schema["paths"]["/v1/audio/speech"]["post"]["responses"]
    assert {"200", "400", "401", "404", "408", "413", "429", "503"} == set(answers)


def test_the_page_is_served(start, tmp_path):
    (tmp_path / "index.html").write_text("<title>page</title>")
    (tmp_path / "page.js").write_text("1")
    url = start(page=tmp_path, key="secret").url
    page = httpx.get(url + "/")
    assert page.text == "<title>page</title>"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert httpx.get(url + "/page.js").headers["content-type"].startswith("text/javascript")
    assert httpx.get(url + "/../run.py").status_code == 404
    assert httpx.get(url + "/%2e%2e/run.py").json()["error"]["type"] == "invalid_request_error"
    assert httpx.get(url + "/health").status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json", "/docs"):
        assert httpx.get(url + path).status_code == 401
        assert httpx.get(url + path, headers={"Authorization": "Bearer secret"}).status_code == 200


def test_other_pages_may_not_call_it_unless_allowed(served, start):
    origin = {"Origin": "http://example.org"}
    assert "access-control-allow-origin" not in httpx.get(served.url + "/v1/models", headers=origin).headers
    before = {**origin, "Access-Control-Request-Method": "POST"}  # what a browser asks first
    assert httpx.options(served.url + "/v1/audio/speech", headers=before).status_code == 405
    open_to = start(cors=("http://example.org",))
    answer = httpx.get(open_to.url + "/v1/models", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "http://example.org"


def test_a_full_queue_is_said_so(small):
    pool = small.service.pool
    with httpx.stream("POST", small.url + "/v1/audio/speech", json={**SPEECH, "input": LONG}) as running:
        assert running.status_code == 200
        wait_until(lambda: pool.active == 1)
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            waiting = other.submit(post, small)
            wait_until(lambda: pool.waiting == 1)
            refused = post(small)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["error"]["type"] == "rate_limit_error"
            running.close()
            assert waiting.result().status_code == 200
    assert post(small).status_code == 200


def test_a_client_that_leaves_stops_the_work(small):
    pool = small.service.pool
    for path in ("/v1/audio/speech", "/v1/audio/speech/timed"):
        with (
            pytest.raises(httpx.ReadTimeout)
            if path.endswith("timed")
            else httpx.stream("POST", small.url + path, json={**SPEECH, "input": LONG}) as running
        ):
            if path.endswith("timed"):
                post(small, path, timeout=0.3, input=LONG)
            else:
                assert running.status_code == 200
        wait_until(lambda: pool.active == 0, 5)
    assert 'outcome="stopped"' in httpx.get(small.url + "/metrics").text


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/timed"])
def test_a_client_that_leaves_before_the_answer_stops_the_work(small, path):
    """The server learns of it when the text has been submitted, and nothing has asked for its first chunk."""
    body = json.dumps({**SPEECH, "input": LONG}).encode()
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]}
    scope |= {"asgi": {"spec_version": "2.3"}, "scheme": "http", "server": ("x", 1), "client": ("x", 1)}

    async def receive():
        return next(messages, {"type": "http.disconnect"})

    async def send(message):
        pass

    asyncio.run(make_app(small.service)(scope, receive, send))
    wait_until(lambda: small.service.pool.active + small.service.pool.waiting == 0, 2)


def test_a_text_is_cut_and_says_so(start):
    served = start(max_audio_seconds=1)
    answer = post(served, "/v1/audio/speech/timed", input="1 2 3 4 5").json()
    assert (answer["seconds"], answer["stop_reason"]) == (1, "cap")
    assert len(answer["words"]) < 5


def test_an_answer_has_its_time(start):
    served = start(max_request_seconds=1, threads=1, streams=1)
    with pytest.raises(httpx.RemoteProtocolError):  # the answer had begun
        post(served, input=LONG * 2, speed=0.25)
    wait_until(lambda: served.service.pool.active == 0, 5)
    assert post(served).status_code == 200


@pytest.fixture(scope="module")
def odd(start, tmp_path_factory):
    """A voice whose rate is none of the usual ones."""
    folder = shutil.copytree(VOICES / "digits", tmp_path_factory.mktemp("voices") / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "sample_rate": 11_111}))
    return start(spoken_by=load_voice(folder), threads=1)


@pytest.mark.parametrize("response_format", ["pcm", "wav", "flac"])
def test_the_voice_s_own_rate_may_be_asked_for(odd, response_format):
    assert 11_111 in httpx.get(f"{odd.url}/v1/audio/voices").json()["sample_rates"]
    answer = post(odd, input="4", response_format=response_format, sample_rate=11_111)
    assert (answer.status_code, answer.headers["x-sample-rate"]) == (200, "11111"), answer.text
    assert "11111" in httpx.get(f"{odd.url}/docs").text


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac"])
def test_rates_that_a_format_has_not(odd, response_format):
    assert post(odd, input="4", response_format=response_format, sample_rate=8000).status_code == 200
    message = post(odd, input="4", response_format=response_format, sample_rate=11_111).json()["error"]["message"]
    assert message.startswith(f"sample_rate is 11111; {response_format} has 8000, 12000, 16000,")


def transcribe(served, data, **fields):
    form = {"model": "whisper-1", **fields}
    return httpx.post(served.url + "/v1/audio/transcriptions", files={"file": ("a", data)}, data=form, timeout=30)


def test_scores_and_threshold(served, wav):
    found = transcribe(served, wav).json()
    assert found["text"] == "4 7 2"
    assert all(0.5 < score <= 1 for score in found["scores"])
    strict = transcribe(served, wav, threshold=1, response_format="verbose_json").json()
    assert strict["text"] == " ".join(word["word"] for word in strict["words"])
    assert len(strict["words"]) + len(strict["rejected"]) == 3
    assert transcribe(served, wav, threshold=2).json()["error"]["param"] == "threshold"


def test_a_file_that_is_sent_as_text(served):
    form = {"model": (None, "whisper-1"), "file": (None, "472.wav")}
    answer = httpx.post(served.url + "/v1/audio/transcriptions", files=form)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "file: is text; send a file, as curl -F file=@NAME does"


def test_uploads_are_bounded(small, wav):
    assert transcribe(small, wav).json()["text"] == "4 7 2"
    assert transcribe(small, wav * 3).status_code == 413
    silence = audio.to_bytes(np.zeros(8000 * 60, np.float32), 8000, "FLAC")
    assert len(silence) < 50_000
    answer = transcribe(small, silence)
    assert answer.status_code == 400
    assert "lasts more than 3 s" in answer.json()["error"]["message"]


def test_a_large_body_is_refused_before_it_is_read(small):
    with socket.create_connection(("127.0.0.1", small.port), 5) as connection:
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def chunks(connection, count):
    for _ in range(count):
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


@pytest.mark.parametrize("path", [b"/v1/audio/transcriptions", b"/v1/audio/speech"])
def test_a_body_of_unknown_size_is_bounded_too(small, path):
    with socket.create_connection(("127.0.0.1", small.port), 5) as connection:
        kind = b"multipart/form-data; boundary=b" if path.endswith(b"ions") else b"application/json"
        head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind
        connection.sendall(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        if path.endswith(b"ions"):
            start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            connection.sendall(b"%x\r\n%s\r\n" % (len(start), start))
        chunks(connection, 13)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", [b"/v1/audio/transcriptions", b"/v1/audio/speech"])
def test_a_slow_body_is_refused(small, path):
    with socket.create_connection(("127.0.0.1", small.port), 10) as connection:
        kind = b"multipart/form-data; boundary=b" if path.endswith(b"ions") else b"application/json"
        head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: " + kind
        connection.sendall(head + b"\r\n\r\n-")
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
    return start(key="secret", threads=1, max_upload_bytes=8 << 20, max_body_seconds=1)


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


def test_other_paths_and_methods(served):
    for method, path, status in (("GET", "/none", 404), ("GET", "/v1/audio/speech", 405), ("PUT", "/v1/models", 405)):
        answer = httpx.request(method, served.url + path)
        assert (answer.status_code, "message" in answer.json()["error"]) == (status, True)


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
