"""Requests to a server of the tests."""

import time

import httpx

SPEECH = {"model": "digits", "input": "4 7 2", "response_format": "pcm", "sample_rate": 8000}


def post(served, path="/v1/audio/speech", timeout=30, **changes):
    return httpx.post(served.url + path, json={**SPEECH, **changes}, timeout=timeout)


def transcribe(served, data, **fields):
    form = {"model": "whisper-1", **fields}
    return httpx.post(served.url + "/v1/audio/transcriptions", files={"file": ("a", data)}, data=form, timeout=30)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
