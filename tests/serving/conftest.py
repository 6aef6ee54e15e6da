"""A server in a thread of the tests' process, and one in a process of its own."""

import asyncio
import contextlib
import re
import subprocess
import sys
import threading

import pytest
import uvicorn

import tts
from tts import audio
from tts.recognition.onnx_recognizer import OnnxRecognizer
from tts.serving.heads import HttpProtocol
from tts.serving.http import make_app
from tts.serving.service import Service
from tts.serving.settings import ServerSettings
from tts.serving.wyoming import WyomingServer


class Served:
    """Addresses of a running server, and its service."""

    def __init__(self, service, key=None, page=None):
        self.service = service
        app = make_app(service, key, **({"page": page} if page else {}))
        config = uvicorn.Config(app, port=0, log_level="warning", ws="none", http=HttpProtocol)
        self._server = uvicorn.Server(config)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(20)

    async def _run(self):
        wyoming = WyomingServer(self.service, "tcp://127.0.0.1:0")
        self.wyoming_port = await wyoming.start()
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._started.set()
        await serving
        await wyoming.close(5)

    def close(self):
        self._server.should_exit = True
        self._thread.join()
        self.service.pool.close()


@pytest.fixture(scope="session")
def voice():
    return tts.load_voice()


@pytest.fixture(scope="session")
def recognizer():
    return OnnxRecognizer.load()


@pytest.fixture(scope="module")
def start(voice, recognizer):
    """Starts a server with settings; all are stopped after the module's tests."""
    with contextlib.ExitStack() as stack:

        def start(key=None, page=None, spoken_by=voice, **settings):
            served = Served(Service(ServerSettings(**settings), spoken_by, recognizer), key, page)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture(scope="module")
def served(start):
    return start()


@pytest.fixture(scope="module")
def small(start):
    """One place, a queue of one, and low limits."""
    return start(threads=1, streams=1, queue=1, max_upload_bytes=50_000, max_upload_seconds=3, max_body_seconds=1)


@pytest.fixture(scope="session")
def wav(voice):
    return audio.to_bytes(voice.speak("4 7 2", seed=3).samples, voice.sample_rate)


class Process:
    """`tts serve` in a process of its own."""

    def __init__(self, *arguments, **environment):
        import os

        self.process = subprocess.Popen(
            [sys.executable, "-m", "tts", "serve", "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := re.match(r"tts: (http://\S+) with", line):
                self.url = found[1].replace("0.0.0.0", "127.0.0.1")
                break

    def stop(self, number):
        """Send a signal, and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.lines += self.process.stderr.read().splitlines()
        return code


@pytest.fixture
def process():
    """Starts `tts serve` with flags and environment variables; killed after the test where it still runs."""
    started = []

    def start(*arguments, **environment):
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stderr.close()
