"""Load on a server, by Locust: time to the first byte of audio and to the last, and the server's memory.

    pip install locust        # in an environment of its own
    tts serve &
    locust -f scripts/load_server.py --headless -u 8 -r 8 -t 60s --host http://127.0.0.1:8000

`-u` is the number of clients, each of which asks for one text after another (three digits, drawn; raw samples at the
voice's own rate). Locust prints requests a second and percentiles for `first byte` and `last byte`; the lines at the
end say how many seconds of speech were made in a second, and what the server's memory was before and after.
"""

import itertools
import random
import time
import urllib.request
from typing import Any

from locust import HttpUser, events, task

_numbers = itertools.count()
_state: dict[str, Any] = {"seconds": 0.0, "refused": 0}
SAMPLE_BYTES, SAMPLE_RATE = 2, 8000


class Client(HttpUser):
    """Asks for one text after another."""

    @task
    def speech(self) -> None:
        """A text of three digits with a seed of its own."""
        seed = next(_numbers)
        rng = random.Random(seed)
        body = {
            "model": "tts-1",
            "input": " ".join(rng.choice("0123456789") for _ in range(3)),
            "seed": seed,
            "response_format": "pcm",
            "sample_rate": SAMPLE_RATE,
        }
        began = time.perf_counter()
        first, size = None, 0
        with self.client.post(
            "/v1/audio/speech", json=body, stream=True, catch_response=True, name="headers"
        ) as answer:
            if answer.status_code == 429:
                _state["refused"] += 1
                answer.success()
                time.sleep(float(answer.headers["Retry-After"]))
                return
            for chunk in answer.iter_content(None):
                if chunk and first is None:
                    first = time.perf_counter() - began
                size += len(chunk)
        fire = self.environment.events.request.fire
        for name, seconds in (("first byte", first), ("last byte", time.perf_counter() - began)):
            if seconds is not None:
                fire(
                    request_type="AUDIO",
                    name=name,
                    response_time=1000 * seconds,
                    response_length=size,
                    exception=None,
                    context={},
                )
        _state["seconds"] += size / SAMPLE_BYTES / SAMPLE_RATE


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """Note the time and the server's memory."""
    _state.update(began=time.perf_counter(), memory=_memory(environment.host))


@events.test_stop.add_listener
def end(environment: Any, **_: Any) -> None:
    """Print what Locust does not."""
    took = time.perf_counter() - _state["began"]
    print(f"audio: {_state['seconds']:.0f} s in {took:.0f} s, {_state['seconds'] / took:.1f} a second")
    print(f"texts: {next(_numbers)}, refused because the queue was full: {_state['refused']}")
    print(f"memory of the server: {_state['memory']:.1f} MB before, {_memory(environment.host):.1f} MB after")


def _memory(host: str) -> float:
    """Resident megabytes of the server's process."""
    with urllib.request.urlopen(f"{host}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("process_resident_memory_bytes"):
                return float(line.split()[1]) / 1e6
    raise RuntimeError(f"{host}/metrics shows no memory")
