"""Load on a server, by Locust: how fast it answers, its memory, and whether a seed gives the same samples as alone.

    pip install locust        # in an environment of its own
    python scripts/load_server.py                        # a table: 1, 8, 32 and 128 clients, a minute each
    python scripts/load_server.py --requests 10000       # memory of the server over 10,000 requests

`--serve` is the command that starts the server, `tts serve` by default; it is ended in the end. Each client asks for
one text of three digits after another, as raw samples at the voice's own rate. Every answer is compared with that to
the same request, made alone before: the exit status is 1 where a sample differs. Both modes print Markdown.
"""

import argparse
import hashlib
import itertools
import json
import random
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import locust
from locust import HttpUser, task
from locust.env import Environment

SAMPLE_BYTES, SAMPLE_RATE = 2, 8000
TEXTS = 64
WARM_UP_SECONDS = 2


@dataclass
class Record:
    """What the clients found since `clear`."""

    alone: list[str] = field(default_factory=list)
    """Digests of the answers to requests made one after the other."""
    first: list[float] = field(default_factory=list)
    """Seconds to the first byte of audio."""
    bytes: int = 0
    refused: int = 0
    differing: int = 0
    failed: int = 0
    compared: int = 0
    """Over all loads, as `differing` and `failed`."""

    def clear(self) -> None:
        """Forget a load."""
        self.first, self.bytes, self.refused = [], 0, 0


record = Record()
_numbers = itertools.count()


def request(number: int) -> dict[str, Any]:
    """One of TEXTS requests, each with its own seed."""
    seed = number % TEXTS
    rng = random.Random(seed)
    text = " ".join(rng.choice("0123456789") for _ in range(3))
    own = {"seed": seed, "response_format": "pcm", "sample_rate": SAMPLE_RATE}
    return {"model": "tts-1", "input": text, **own}


class Client(HttpUser):
    """Asks for one text after another."""

    @task
    def speech(self) -> None:
        """One request; what the server has no place for is asked for again."""
        number = next(_numbers)
        while not self._asked(number):
            record.refused += 1
            time.sleep(1)

    def _asked(self, number: int) -> bool:
        began = time.perf_counter()
        first, size, digest = 0.0, 0, hashlib.sha256()
        with self.client.post("/v1/audio/speech", json=request(number), stream=True, catch_response=True) as answer:
            if answer.status_code == 429:
                answer.success()
                return False
            if answer.status_code != 200:
                record.failed += 1
                return True
            for chunk in answer.iter_content(None):
                first = first or time.perf_counter() - began
                size += len(chunk)
                digest.update(chunk)
        record.first.append(first)
        record.bytes += size
        record.compared += 1
        record.differing += digest.hexdigest() != record.alone[number % TEXTS]
        return True


def main() -> int:
    """Start the server, measure, and end it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", default="tts serve", help="the command that starts the server (default: tts serve)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128], help="a row of the table for each")
    parser.add_argument("--seconds", type=float, default=60, help="that each row is measured (default: 60)")
    parser.add_argument("--requests", type=int, help="instead: the server's memory over so many, by 8 clients")
    flags = parser.parse_args()
    command = [*shlex.split(flags.serve), "--port", "0", "--log-level", "error"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server ends with this process
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            url = _url(server)
            record.alone = [_alone(url, number) for number in range(TEXTS)]
            print(_conditions(flags.serve))
            if flags.requests:
                _memory_table(url, flags.requests)
            else:
                _table(url, flags.clients, flags.seconds)
        finally:
            server.terminate()
    same = f"{record.compared - record.differing} of {record.compared}"
    print(f"\nAnswers under load that have the samples of the same request alone: {same}. Failed: {record.failed}.")
    return int(record.differing or record.failed or not record.compared)


def _url(server: subprocess.Popen[str]) -> str:
    assert server.stderr
    for line in server.stderr:
        if found := re.match(r"tts: (http://\S+) with", line):
            return found[1]
        print(line, end="", file=sys.stderr)
    raise SystemExit("load_server.py: the server did not start; its last lines say why")


def _alone(url: str, number: int) -> str:
    asked = urllib.request.Request(f"{url}/v1/audio/speech", json.dumps(request(number)).encode())
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


def _table(url: str, clients: list[int], seconds: float) -> None:
    print("| clients | requests/s | audio s/s | first byte p50, ms | p95, ms | p99, ms | refused (429) | memory, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for count in clients:
        runner = Environment(user_classes=[Client], host=url).create_local_runner()
        runner.start(count, spawn_rate=count)
        time.sleep(WARM_UP_SECONDS)
        record.clear()
        began = time.perf_counter()
        time.sleep(seconds)
        took, first = time.perf_counter() - began, [1000 * one for one in record.first]
        speech, refused = record.bytes / SAMPLE_BYTES / SAMPLE_RATE, record.refused
        runner.quit()
        cuts = statistics.quantiles(first, n=100, method="inclusive") if len(first) > 1 else [float("nan")] * 99
        row = [f"{count}", f"{len(first) / took:.1f}", f"{speech / took:.1f}"]
        row += [f"{cuts[at - 1]:.0f}" for at in (50, 95, 99)]
        print("|", " | ".join([*row, f"{refused}", f"{_memory(url):.0f}"]), "|", flush=True)


def _memory_table(url: str, requests: int) -> None:
    print("| requests | memory of the server, MB |\n| --- | --- |")
    print(f"| {TEXTS}, one after the other | {_memory(url):.1f} |", flush=True)
    runner = Environment(user_classes=[Client], host=url).create_local_runner()
    runner.start(8, spawn_rate=8)
    for step in range(1, 11):
        while record.compared + record.failed < requests * step // 10:
            time.sleep(0.1)
        print(f"| {record.compared} | {_memory(url):.1f} |", flush=True)
    runner.quit()


def _memory(url: str) -> float:
    """Resident megabytes of the server's process."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("process_resident_memory_bytes"):
                return float(line.split()[1]) / 1e6
    raise RuntimeError(f"{url}/metrics shows no memory")


def _conditions(serve: str) -> str:
    """Command, processor, commit and tool, which every number needs."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.is_file() else ""
    cores = len(re.findall(r"^processor\s*:", text, re.M))
    model = re.search(r"model name\s*: (.*)", text)
    widest = next((name for name in ("avx512f", "avx2") if f" {name} " in text), "neither AVX2 nor AVX-512")
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown"
    arguments = shlex.join(["scripts/load_server.py", *sys.argv[1:]])
    load = Path("/proc/loadavg").read_text().split()[0] if text else "unknown"
    return (
        f"`python {arguments}`, `{serve}`, Locust {locust.__version__}; {cores} x "
        f"{model[1] if model else 'unknown processor'} ({widest}), commit {commit}, load average before: {load}\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
