"""What is measured, each row in a process of its own: `python -m tts.bench.rows '{"row": …}'` prints JSON.

The times are medians of runs that fill at least `seconds`; memory is the most that the process held.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tts.bench.processes import answer, run_apart
from tts.bench.timing import timed
from tts.core.extras import install_command, missing
from tts.core.machine import caches, cores
from tts.text.units import nuclei, syllables, unit_vectors
from tts.voice import EngineName, SpeakOptions, load_voice

TEXT = "4 7 2 9 0"
FIRST_AUDIO = 0.02  # seconds of it
TORCH_SECONDS = 0.1  # of audio of each text by the torch engine, which is slow on a CPU
ROUNDS = 4  # of texts for each place, so that the end, when places stay empty, weighs little

LIMITS = "limits"
LARGEST_CACHE = 64 << 20  # bytes; larger ones are shared by many cores, and eight times that much is read as memory


@dataclass(frozen=True)
class Settings:
    """The flags of `tts bench` that rows use."""

    voice: str | None
    seconds: float
    streams: int
    torch_streams: int
    threads: int | None


@dataclass(frozen=True)
class Engine:
    """A row that speaks."""

    title: str
    engine: EngineName
    streams: str | None = None
    """Which setting says how many texts are made at a time; None: one, on one core."""
    max_seconds: float | None = None
    """Where each text is cut."""
    rounds: int = ROUNDS
    """Texts for each place."""

    def places(self, settings: Settings) -> int:
        """How many texts are made at a time."""
        return getattr(settings, self.streams) if self.streams else 1


@dataclass(frozen=True)
class Start:
    """A row that times a whole process."""

    title: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Peer:
    """A row that measures another program at the same work: a model of the voice's widths, with random weights."""

    title: str


ROWS: dict[str, Engine | Peer | Start] = {
    "native": Engine("native, one stream on one core", "native"),
    "native-many": Engine("native, many streams", "native", "streams"),
    "torch": Engine("torch, one stream", "torch", max_seconds=TORCH_SECONDS),
    "torch-many": Engine("torch, many streams", "torch", "torch_streams", TORCH_SECONDS, rounds=1),
    "plain": Peer("plain PyTorch SampleRNN, one stream"),
    "help": Start("tts --help", ("--help",)),
    "cold": Start('tts speak "4 7 2"', ("speak", "4 7 2")),
}


def measure_in_process(name: str, settings: Settings) -> dict[str, Any]:
    """A row's metrics; `failed` says why there are none, `unavailable` what would have to be installed."""
    row = ROWS[name]
    metrics: dict[str, Any] = {"row": name, "title": row.title}
    if isinstance(row, Engine):
        metrics["streams"] = row.places(settings)
    if isinstance(row, Peer):
        metrics["streams"] = 1
    if (isinstance(row, Peer) or (isinstance(row, Engine) and row.engine == "torch")) and missing("torch"):
        return metrics | {"unavailable": f"it needs torch; run: {install_command('train')}"}
    return metrics | run_apart("tts.bench.rows", name, settings)


def measure_limits(settings: Settings) -> dict[str, Any]:
    """What the native engine could reach on one core of this machine, and why; `failed` says why it is not known."""
    return run_apart("tts.bench.rows", LIMITS, settings)


def _measure(name: str, settings: Settings) -> dict[str, Any]:
    if name == LIMITS:
        return _find_limits(settings)
    row = ROWS[name]
    if isinstance(row, Start):
        return _measure_start(row, settings)
    return _measure_speech(row, settings) if isinstance(row, Engine) else _measure_peer(settings)


def _measure_peer(settings: Settings) -> dict[str, Any]:
    import torch

    from tts.bench.plain import PlainSampleRNN

    _stay_on(1)
    voice = load_voice(settings.voice)
    model = voice.config.model
    samples = int(TORCH_SECONDS * voice.sample_rate) // model.frame_size * model.frame_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        peer = PlainSampleRNN(model).eval()
    peer.generate(model.frame_size, torch.Generator().manual_seed(0))
    memory = _peak_memory() / 1e6
    times = timed(lambda: peer.generate(samples, torch.Generator().manual_seed(0)), settings.seconds)
    rate = samples / times["median_s"]
    metrics: dict[str, Any] = {"samples": samples, "memory_mb": memory}
    metrics |= {f"run_{key}": value for key, value in times.items()}
    return metrics | {"samples_per_second": rate, "times_real_time": rate / voice.sample_rate}


def _measure_speech(row: Engine, settings: Settings) -> dict[str, Any]:
    streams = row.places(settings)
    _stay_on(settings.threads if row.streams else 1)
    voice = load_voice(settings.voice)
    voice.prepare(row.engine, streams)
    options = SpeakOptions(max_seconds=row.max_seconds, engine=row.engine)
    speakers = [voice.speakers[i % len(voice.speakers)] for i in range(row.rounds * streams)]

    def say() -> int:
        """Makes all texts; the number of samples."""
        if row.streams is None:
            return len(voice.speak(TEXT, options=options).samples)
        spoken = voice.speak_each([TEXT] * len(speakers), speakers, options=options, streams=streams)
        return sum(len(said.samples) for said in spoken)

    samples, memory = say(), _peak_memory() / 1e6
    times = timed(say, settings.seconds)
    rate = samples / times["median_s"]
    metrics: dict[str, Any] = {"samples": samples, "memory_mb": memory}
    metrics |= {f"run_{key}": value for key, value in times.items()}
    metrics |= {"samples_per_second": rate, "times_real_time": rate / voice.sample_rate}
    if row.streams is None:

        def first_audio() -> None:
            left = FIRST_AUDIO * voice.sample_rate
            with voice.stream(TEXT, engine=row.engine) as stream:
                for chunk in stream:
                    left -= len(chunk)
                    if left <= 0:
                        break

        first_audio()
        metrics["first_audio_ms"] = 1000 * timed(first_audio, settings.seconds)["median_s"]
    return metrics


def _measure_start(row: Start, settings: Settings) -> dict[str, Any]:
    speaks = row.arguments[0] == "speak"
    command = [sys.executable, "-m", "tts", *row.arguments]
    command += ["--voice", settings.voice] if speaks and settings.voice else []

    def start() -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = ["-o", str(Path(folder) / "x.wav")] if speaks else []
            subprocess.run([*command, *out], check=True, capture_output=True)

    start()
    times = timed(start, settings.seconds)
    return {"seconds": times["median_s"], "runs": times["runs"], "iqr_s": times["iqr_s"]}


def _find_limits(settings: Settings) -> dict[str, Any]:
    """The roofline of the voice on one core: rates by where weights come from, work by part, seconds at those rates."""
    from tts.bench.roofline import CACHES, limits, measure_machine, operations
    from tts.generation.interface import SynthesisRequest
    from tts.generation.native.engine import NativeEngine
    from tts.text.normalize import words

    of_a_core = max(1, settings.streams // (settings.threads or len(cores())))
    _stay_on(1)
    voice = load_voice(settings.voice)
    engine = voice.engine("native")
    assert isinstance(engine, NativeEngine)
    model, spoken = voice.config.model, words(TEXT)
    frames = max(1, int(len(spoken) * voice.sample_rate / model.frame_size))
    counts, per_word = syllables(spoken), model.units_per_word
    vectors = unit_vectors(voice.word_vectors(spoken), per_word, counts)
    sampling, vowels = voice.config.sampling, nuclei(counts, per_word)
    shares = engine.relu_shares(SynthesisRequest(vectors, 0, 0, frames, frames, sampling, nuclei=vowels))
    parts = operations(model, shares)
    sizes = {name: min(size, LARGEST_CACHE) for name, size in (CACHES | caches()).items() if name in CACHES}
    core = measure_machine(engine.isa, min(settings.seconds / 10, 1.0), sizes)
    return {
        "isa": engine.isa,
        "relu_shares": shares,
        "caches": sizes,
        "alone": core.alone,
        "fourfold": core.fourfold,
        "parts": {name: asdict(part) for name, part in parts.items()},
        "one": asdict(limits(parts, core, 1, sizes)),
        "many": asdict(limits(parts, core, of_a_core, sizes)),
    }


def _stay_on(count: int | None) -> None:
    """Keep to the first so many cores; the native engine has a thread for each that it may use. None: all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[:count])


def _peak_memory() -> int:
    """The most memory that this process has held, and its GPU for it, in bytes."""
    torch = sys.modules.get("torch")
    on_gpu = torch.cuda.max_memory_allocated() if torch and torch.cuda.is_available() else 0
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 + on_gpu
    import resource  # elsewhere; it may count what the process was forked from

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else peak * 1024) + on_gpu


if __name__ == "__main__":
    answer(_measure, Settings)
