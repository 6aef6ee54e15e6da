"""`tts bench train`: how many samples of audio a second a training takes in, ours and a plain SampleRNN's.

Each row is measured in a process of its own: `python -m tts.bench.training '{"row": …}'` prints JSON. The times are
`torch.utils.benchmark`'s, medians over runs that fill at least `seconds`; a step is a whole step, its batch made as in
training: ahead by the config's `train.workers`, or with none as a part of the step. Without a corpus the sequences are
noise of speech's lengths, which costs as much. With one, both are also trained on the same batches, `samples` samples
in all, and their likelihoods of held-out sequences compared.
"""

import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.nn import functional
from torch.utils.benchmark import Timer

from data_recipes.sequences import Sequence
from tts.bench.plain import PlainSampleRNN
from tts.bench.processes import answer, run_apart
from tts.core import config as configs
from tts.models.two_tier import TwoTier
from tts.training.batches import Batch, Batches, Stream, training_collate
from tts.training.compute import multiply_adds
from tts.training.config import RunConfig
from tts.training.loop import update
from tts.training.losses import Objective, bits
from tts.training.optimizer import learning_rate, make_optimizer, set_learning_rate
from tts.training.precision import accelerate_state, resolve

SEGMENT_SECONDS = (0.3, 0.65)
"""Of a digit with its silence, in FSDD."""
PLAIN_LR = 3e-3
"""With Adam; after 30 steps better than the paper's, 1e-3 (5.39 to 5.97 bits)."""
SHORT_LR = 1.2e-2
"""Ours, at its highest, where likelihoods are compared after some dozens of steps: a config's is for thousands. The
best of 1e-3 to 1.6e-2 after 30 steps."""
MATRIX = 2048
ROUNDS = 10_000
"""So often the batches come at most."""
ROWS = {"ours": "this project's step", "plain": "a plain two-tier SampleRNN's step"}


@dataclass(frozen=True)
class Settings:
    """The flags of `tts bench train`."""

    config: str | None
    """YAML of a run; None: the defaults."""
    seconds: float
    threads: int
    source: str | None = None
    """A corpus, for the likelihoods."""
    samples: int = 0
    """To train on before the likelihoods are compared; 0: leave them out."""


class NoiseStream:
    """Sequences of noise, as long as spoken ones; item i is always the same."""

    def __init__(self, max_digits: int, sample_rate: int) -> None:
        self.max_digits, self.sample_rate = max_digits, sample_rate

    def __getitem__(self, index: int) -> Sequence:
        rng = np.random.default_rng([0, index])
        digits = rng.integers(0, 10, rng.integers(1, self.max_digits + 1)).tolist()
        segments = (rng.uniform(*SEGMENT_SECONDS, len(digits)) * self.sample_rate).astype(int)
        audio = 0.1 * rng.standard_normal(segments.sum(), dtype=np.float32)
        text, boundaries = " ".join(map(str, digits)), segments.cumsum().tolist()
        return Sequence(audio, text, text.split(), "noise", [], boundaries, self.sample_rate, "seen")


class Material(NamedTuple):
    """What both rows train on: `config` has the model's sizes set by the data, and `validation` gives batches whose
    loss counts every frame, or None without a corpus."""

    config: RunConfig
    batches: Batches
    validation: Callable[[], Iterable[Batch]] | None
    sample_rate: int


def material(settings: Settings) -> Material:
    """Batches of the corpus where there is one, else of noise."""
    overrides = [f"data.source={settings.source}"] if settings.source else []
    config = configs.load(RunConfig, settings.config, overrides) if settings.config else RunConfig()
    rate = config.data.recordings.sample_rate
    stream: Stream = NoiseStream(config.data.sequences.max_digits, rate)
    validation = None
    if settings.source:
        from tts.training.data import load_data

        config, data = load_data(config)
        collate = training_collate(config, data.speakers, data.vectors)
        stream, validation, rate = data.stream, data.validation_batches, data.sample_rate
    else:
        config = replace(config, model=replace(config.model, n_speakers=1))
        known = np.random.default_rng(0).standard_normal((10, config.model.word_dim), dtype=np.float32)
        collate = training_collate(config, ("noise",), lambda texts: [known[[*map(int, text)]] for text in texts])
    batches = Batches(stream, collate, config.train.batch_size, config.seed, config.train.bucket)
    return Material(config, batches, validation, rate)


def samples_of(batch: Batch, frame_size: int) -> int:
    """Samples of audio in a batch, padding left out."""
    return int(batch.valid.sum()) * frame_size


class Ours:
    """A training as `tts.training.loop` does it; `step` takes one batch."""

    def __init__(self, config: RunConfig, sample_rate: int) -> None:
        self.config, self.device = config, accelerate_state().device
        self.precision, _ = resolve(config.train.precision, self.device)
        self.accelerator = Accelerator(mixed_precision="bf16" if self.precision == "bf16" else "no")
        self.accelerator.gradient_accumulation_steps = 1  # as in `tts.training.loop`
        set_seed(config.seed)
        self.objective = Objective(TwoTier(config.model), config.loss, sample_rate)
        optimizer = make_optimizer(self.objective, config.train)
        self.wrapped, self.optimizer = self.accelerator.prepare(self.objective, optimizer)
        self.multiply_adds = 3 * multiply_adds(config.model, config.loss)  # of a whole step, per sample of the batch

    def step(self, batch: Batch, number: int = 0) -> None:
        """Number `number` of the config's `train.steps`."""
        raw = getattr(self.optimizer, "optimizer", self.optimizer)
        set_learning_rate(raw, learning_rate(number, self.config.train))
        moved = [batch.to(self.device)]
        update(self.accelerator, self.wrapped, self.objective, self.optimizer, moved, self.config.train.clip)

    @torch.no_grad()
    def nll(self, batch: Batch) -> tuple[float, int]:
        """Summed nats and count of the samples."""
        moved = batch.to(self.device)
        return float(self.objective(moved).nll), int(self.objective.counts(moved).nll)


class Plain:
    """The same of `PlainSampleRNN`: Adam, the paper's clipping to 1 in each element, float32, a loss of all samples."""

    precision = "fp32"

    def __init__(self, config: RunConfig, sample_rate: int) -> None:
        set_seed(config.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = PlainSampleRNN(config.model).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=PLAIN_LR)
        self.multiply_adds = 3 * self.model.multiply_adds()

    def step(self, batch: Batch, number: int = 0) -> None:
        """One batch."""
        nats, count = self._nll(batch)
        self.optimizer.zero_grad()
        (nats / count).backward()
        torch.nn.utils.clip_grad_value_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def _nll(self, batch: Batch) -> tuple[torch.Tensor, int]:
        codes = batch.codes.to(self.device)
        valid = batch.valid.to(self.device).repeat_interleave(self.model.config.frame_size, 1)
        nats = functional.cross_entropy(self.model(codes)[valid], codes[valid], reduction="sum")
        return nats, int(valid.sum())

    @torch.no_grad()
    def nll(self, batch: Batch) -> tuple[float, int]:
        """Summed nats and count of the samples."""
        nats, count = self._nll(batch)
        return float(nats), count


TRAINEES: dict[str, type[Ours] | type[Plain]] = {"ours": Ours, "plain": Plain}


def matrix_rate(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Multiply-adds a second of a product of two square matrices, `MATRIX` wide."""
    a, b = (torch.randn(MATRIX, MATRIX, device=device).to(dtype) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
    return MATRIX**3 / timer.blocked_autorange(min_run_time=seconds).median


def measure_row(name: str, settings: Settings) -> dict[str, Any]:
    """Speed, share of the matrix rate and peak memory of a row; with a corpus also the likelihood."""
    torch.set_num_threads(settings.threads)
    found = material(settings)
    if settings.source and settings.samples:
        return {"nll": _learn(name, found, settings.samples)}
    trainee = TRAINEES[name](found.config, found.sample_rate)
    count = 4 * found.config.train.bucket
    taken_in = sum(samples_of(found.batches[i], found.config.model.frame_size) for i in range(count))
    on_gpu = trainee.device.type == "cuda"
    series = found.batches.made([*range(count)] * ROUNDS, found.config.train.workers, on_gpu)

    def steps() -> None:
        for batch in islice(series, count):
            trainee.step(batch)

    steps()  # what only a first step does
    # num_threads would otherwise be set to one.
    timer = Timer("steps()", globals={"steps": steps}, num_threads=settings.threads)
    seconds = timer.blocked_autorange(min_run_time=settings.seconds).median
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    dtype = torch.bfloat16 if trainee.precision == "bf16" else torch.float32
    rate = matrix_rate(dtype, trainee.device, min(settings.seconds, 2.0))
    speed = taken_in / seconds
    return {
        "precision": trainee.precision,
        "samples_per_second": speed,
        "step_ms": 1000 * seconds / count,
        "multiply_adds_per_sample": trainee.multiply_adds,
        "matrix_rate": rate,
        "share_of_matrix_rate": speed * trainee.multiply_adds / rate,
        "memory_mb": memory / 1e6,
    }


def _learn(name: str, found: Material, samples: int) -> dict[str, float]:
    """Train on the first batches of the series, `samples` samples in all, then measure the validation sequences."""
    assert found.validation
    counts: list[int] = []
    while sum(counts) < samples:
        counts.append(samples_of(found.batches[len(counts)], found.config.model.frame_size))
    steps = len(counts)
    train = replace(found.config.train, steps=steps, warmup_steps=max(1, steps // 10), lr=SHORT_LR)
    trainee = TRAINEES[name](replace(found.config, train=train), found.sample_rate)
    for number in range(steps):
        trainee.step(found.batches[number], number)
    nats, count = map(sum, zip(*map(trainee.nll, found.validation()), strict=True))
    return {"steps": steps, "samples": sum(counts), "bits": bits(nats / count)}


def precision_reason(settings: Settings) -> str:
    """What there is to say about the precision, "" if nothing; a row's own process comes to the same.

    Raises InputError for a config, or a precision in it, that cannot be had.
    """
    return resolve(configs.load(RunConfig, settings.config).train.precision, accelerate_state().device)[1]


def measure_rows(settings: Settings) -> dict[str, dict[str, Any]]:
    """Both rows, one after the other, each in processes of its own; `failed` says why there are no metrics."""
    rows = {}
    for name in ROWS:
        rows[name] = run_apart("tts.bench.training", name, replace(settings, samples=0))
        if settings.source and settings.samples and "failed" not in rows[name]:
            rows[name] |= run_apart("tts.bench.training", name, settings)
    return rows


if __name__ == "__main__":
    answer(measure_row, Settings)
