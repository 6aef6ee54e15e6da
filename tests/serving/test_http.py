"""The HTTP server beyond the official client: voices, rates, scores, streams that are left, a full queue."""

import asyncio
import concurrent.futures
import contextlib
import json
import shutil
from dataclasses import replace

import httpx
import numpy as np
import pytest
from helpers.serving import SPEECH, post, transcribe, wait_until

from tts import audio
from tts.serving.http import make_app
from tts.voice import VOICES, load_voice

LONG = "1 2 3 4 5 6 7 8 9 0 " * 40


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
    served = start(max_request_seconds=2, threads=1, streams=1)
    with contextlib.suppress(httpx.RemoteProtocolError):  # the answer had begun
        assert post(served, input=LONG * 2, speed=0.25).status_code == 503  # on a busy machine it had not
    wait_until(lambda: served.service.pool.active == 0, 5)

    def answered():
        with contextlib.suppress(httpx.RemoteProtocolError):  # on a busy machine a short text may be late too
            return post(served).status_code == 200

    wait_until(answered)


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


@pytest.mark.parametrize("rate", [0, -8000, 7999, "8000", 8000.5, True])
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/audio/speech/timed"])
def test_a_sample_rate_that_is_none_is_refused(served, path, rate):
    body = {"model": "digits", "input": "4", "response_format": "mp3", "sample_rate": rate}
    answer = httpx.post(served.url + path, json=body)
    assert answer.status_code == 400 and "sample_rate" in answer.json()["error"]["message"]


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


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"input": "hello"}, "input"), ({"voice": "nobody"}, "voice"), ({"sample_rate": 11_111}, "sample_rate")],
)
def test_an_error_names_the_field(served, changes, param):
    for path in ("/v1/audio/speech", "/v1/audio/speech/timed"):
        assert post(served, path, **changes).json()["error"]["param"] == param
    assert transcribe(served, b"no recording").json()["error"]["param"] == "file"


def test_a_speed_that_the_voice_has_not_is_named(odd, monkeypatch):
    implicit = replace(odd.service.voice.config.model, duration="implicit")
    monkeypatch.setattr(odd.service.voice, "config", replace(odd.service.voice.config, model=implicit))
    error = post(odd, speed=2).json()["error"]
    assert (error["param"], "leave speed at 1" in error["message"]) == ("speed", True)


def test_other_paths_and_methods(served):
    for method, path, status in (("GET", "/none", 404), ("GET", "/v1/audio/speech", 405), ("PUT", "/v1/models", 405)):
        answer = httpx.request(method, served.url + path)
        assert (answer.status_code, "message" in answer.json()["error"]) == (status, True)
