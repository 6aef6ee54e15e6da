"""How fast the shipped voice speaks on one core, and how long a cold `tts speak` takes. Run it on an idle machine."""

import os
import subprocess
import sys
import tempfile
import time

import tts

TEXTS = 20


def main() -> None:
    """Print samples per second of one stream pinned to one core, and the seconds of a whole cold process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tts", "speak", "4 7 2", "-o", f"{folder}/x.wav", "--force"]
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    print(f"tts speak, cold process, code compiled: {min(seconds[1:]):.2f} s (the first of these: {seconds[0]:.2f} s)")

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    voice = tts.load_voice()
    voice.prepare()
    began = time.perf_counter()
    samples = sum(len(voice.speak("4 7 2 9 0", voice.speakers[i % 2], seed=i).samples) for i in range(TEXTS))
    rate = samples / (time.perf_counter() - began)
    print(f"one stream, one core: {rate:,.0f} samples/s, {rate / voice.sample_rate:.1f} x real time")
    print(f"load average {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
