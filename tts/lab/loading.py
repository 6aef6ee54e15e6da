"""How long an epoch of the digit recognizer takes: from a naive loader up, step by step.

An epoch is every recording once: read, made a spectrogram, and trained on. A run that is slower than its time allows is
measured on a part of the epoch and extrapolated; `items` says how many were trained on. Beside every run the naive
loader is measured on a few recordings, so that the ratio is of the same minutes of the same machine. Letters: B batch,
R recordings, N frames, M bins.
"""

import copy
import functools
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from data_recipes.corpus import RecordingOptions, prepare
from tts.audio import read, resample
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_folder
from tts.core.plots import png
from tts.lab.experiment import Result, Run
from tts.models.digit_net import DigitNet, DigitNetConfig, spectrograms

SAMPLE_RATE = 8000
SAMPLES = 6400
"""Of a clip: longer recordings are cut, shorter ones padded."""
LR = 2e-3
WARM_UP, JUDGED = 64, 256

Batch = tuple[Tensor, Tensor]
"""Spectrograms (B, N, M) and digits (B,)."""


@dataclass(frozen=True)
class Settings:
    """Of one way to load and train. The defaults are the naive one."""

    source: Path | None = None
    """The recordings: files named DIGIT_SPEAKER_TAKE.wav, as FSDD's."""
    model: DigitNetConfig = field(default_factory=DigitNetConfig)
    load: Literal["files", "waves", "spectrograms", "tensor"] = "files"
    """files: each item is read and made a spectrogram whenever it is asked for. waves, spectrograms: those are kept in
    memory, and a loader stacks items to batches. tensor: all spectrograms are one tensor, a batch is one indexing."""
    batch_size: Annotated[int, Range(1, 65_536)] = 1
    workers: Annotated[int, Range(0, 64)] = 0
    """Processes of the loader; 0: the training process loads."""
    pin_memory: bool = False
    """Batches lie in page-locked memory and are copied to the GPU while it computes; without a GPU it does nothing."""
    parallel: Literal["none", "data", "hogwild"] = "none"
    """data: processes share each batch and average the gradients. hogwild: each trains on its own part of the epoch and
    writes into the same weights without a lock (Recht et al. 2011, arXiv 1106.5730)."""
    processes: Annotated[int, Range(1, 64)] = 1
    epochs: Annotated[int, Range(1, 100)] = 1
    """How many are trained; above 1 for batches that are larger than an epoch."""
    most_seconds: Annotated[float, Range(0.1, 3600)] = 15.0
    """Measured at most; a smaller budget counts."""
    naive_items: Annotated[int, Range(1, 100_000)] = 48
    """Recordings that the naive loader beside the run is measured on."""

    def __post_init__(self) -> None:
        check(self)
        if (self.parallel == "none") != (self.processes == 1):
            raise InputError(f"processes is {self.processes} with parallel: {self.parallel}; none has 1, others more")
        if self.parallel != "none" and (self.load != "tensor" or self.workers):
            raise InputError(f"parallel is {self.parallel}; its processes share memory: set load: tensor, workers: 0")
        if self.load == "tensor" and self.workers:
            raise InputError(f"workers is {self.workers}; with load: tensor there is nothing to load; set workers: 0")
        if self.parallel == "data" and self.batch_size % self.processes:
            raise InputError(f"batch_size is {self.batch_size}; {self.processes} processes must share it equally")


@dataclass(frozen=True)
class Measured:
    """What one training came to."""

    items: int
    updates: int
    seconds: float

    @property
    def per_item(self) -> float:
        """Seconds."""
        return self.seconds / self.items


class Recordings(Dataset[tuple[Tensor, int]]):
    """Items made from files or waves each time they are asked for, or kept as spectrograms."""

    def __init__(self, paths: list[Path], settings: Settings) -> None:
        self.paths, self.config, self.kept = paths, settings.model, settings.load
        self.digits = [int(path.name[0]) for path in paths]
        self.waves = [_wave(path) for path in paths] if settings.load != "files" else []
        self.spectrograms: list[Tensor] = []
        if settings.load in ("spectrograms", "tensor"):
            self.spectrograms = [_spectrogram(wave, self.config) for wave in self.waves]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self.spectrograms:
            return self.spectrograms[index], self.digits[index]
        wave = self.waves[index] if self.waves else _wave(self.paths[index])
        return _spectrogram(wave, self.config), self.digits[index]


def _wave(path: Path) -> np.ndarray:
    """A file as (SAMPLES,) float32, prepared as for every other training; silence stays silence."""
    wave, rate = read(path)
    ready = prepare(resample(wave, rate, SAMPLE_RATE), RecordingOptions(sample_rate=SAMPLE_RATE))
    wave = (wave if ready is None else ready)[:SAMPLES]
    return np.pad(wave, (0, SAMPLES - len(wave)))


def _spectrogram(wave: np.ndarray, config: DigitNetConfig) -> Tensor:
    return spectrograms(torch.from_numpy(wave)[None], config)[0]


def recording_files(source: Path) -> list[Path]:
    """The recordings of a folder or the recordings/ folder in it. Raises InputError where there are none."""
    folder = source / "recordings" if is_folder(source / "recordings") else source
    paths = sorted(folder.glob("[0-9]_*_*.wav"))
    if not paths:
        raise InputError(f"{source}: no recordings there; give a folder of files named like 4_jackson_7.wav")
    return paths


@functools.lru_cache(maxsize=1)  # runs that follow each other have the same
def _in_memory(source: Path, settings: Settings) -> tuple[Recordings, float]:
    """The data that `load` keeps, and the seconds that it took to read it."""
    began = time.perf_counter()
    return Recordings(recording_files(source), settings), time.perf_counter() - began


# One process


def batches(data: Recordings, settings: Settings, seed: int) -> Iterator[Batch]:
    """The batches of the epochs, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    if settings.load == "tensor":
        yield from _indexed(_stacked(data), _orders(len(data), settings.epochs, generator), settings.batch_size)
        return
    order: Any = _orders(len(data), settings.epochs, generator).tolist()
    pinned = settings.pin_memory and torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores are measured, too
        loader = DataLoader(data, settings.batch_size, sampler=order, num_workers=settings.workers, pin_memory=pinned)
    yield from loader


@functools.lru_cache(maxsize=1)
def _stacked(data: Recordings) -> Batch:
    return torch.stack(data.spectrograms), torch.tensor(data.digits)


def _orders(count: int, epochs: int, generator: torch.Generator) -> Tensor:
    return torch.cat([torch.randperm(count, generator=generator) for _ in range(epochs)])


def _indexed(whole: Batch, order: Tensor, batch_size: int) -> Iterator[Batch]:
    for chosen in order.split(batch_size):
        yield whole[0][chosen], whole[1][chosen]


def train(model: nn.Module, given: Iterable[Batch], most_seconds: float, most_updates: int | None = None) -> Measured:
    """Train on the batches until they or the time are used up. The clock starts with the request for the first."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    items = updates = 0
    began = time.perf_counter()
    for inputs, digits in given:
        loss = functional.cross_entropy(
            model(inputs.to(device, non_blocking=True)), digits.to(device, non_blocking=True)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        items, updates = items + len(digits), updates + 1
        if time.perf_counter() - began >= most_seconds or updates == most_updates:
            break
    if device.type == "cuda":
        torch.cuda.synchronize()
    return Measured(items, updates, time.perf_counter() - began)


# Several processes


def in_processes(
    model: nn.Module, whole: Batch, settings: Settings, seed: int, most_seconds: float, most_updates: int | None = None
) -> Measured:
    """Train the model on the CPU in `settings.processes` new processes, which share its weights or gradients.

    They start before the clock does: what is measured is the epoch. Afterwards the model holds the trained weights.
    """
    model.share_memory()
    for tensor in whole:
        tensor.share_memory_()
    threads = max(1, torch.get_num_threads() // settings.processes)
    with tempfile.TemporaryDirectory() as folder:
        # A queue, as the processes' return values; from "spawn", as a fork of a process with autograd's threads hangs.
        queue = mp.get_context("spawn").SimpleQueue()
        arguments = (model, whole, settings, seed, (most_seconds, most_updates), threads, folder, queue)
        mp.spawn(_process, arguments, nprocs=settings.processes)
        measured = [queue.get() for _ in range(settings.processes)]
    updates = measured[0].updates if settings.parallel == "data" else sum(each.updates for each in measured)
    return Measured(sum(each.items for each in measured), updates, max(each.seconds for each in measured))


def _process(
    rank: int, model: nn.Module, whole: Batch, settings: Settings, seed: int, most: tuple[float, int | None],
    threads: int, folder: str, queue: Any,
) -> None:  # fmt: skip
    most_seconds, most_updates = most
    torch.set_num_threads(threads)
    count = settings.processes
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    order = _orders(len(whole[1]), settings.epochs, torch.Generator().manual_seed(seed))
    own, size = model, settings.batch_size
    trial: nn.Module = copy.deepcopy(model)
    if settings.parallel == "data":
        # Copies: on weights in shared memory each process would make every step.
        own, trial = (DistributedDataParallel(copy.deepcopy(model)) for _ in range(2))
        size = size // count
        # All take equally many steps, or one would wait for the others' gradients for ever.
        order = order[: len(order) // settings.batch_size * settings.batch_size or len(order) // count * count]
    tried = train(trial, _indexed(whole, order[rank::count], size), float("inf"), 2)
    if settings.parallel == "data":
        steps = torch.tensor(1 + most_seconds * tried.updates / tried.seconds)
        dist.broadcast(steps, 0)
        most_seconds, most_updates = float("inf"), min(int(steps), most_updates or int(steps))
    dist.barrier()
    measured = train(own, _indexed(whole, order[rank::count], size), most_seconds, most_updates)
    dist.barrier()
    if isinstance(own, DistributedDataParallel) and rank == 0:
        model.load_state_dict(own.module.state_dict())
    queue.put(measured)
    dist.destroy_process_group()


# The experiment


def run(settings: Settings, run: Run) -> dict[str, float | int | str]:
    """Measure one way to load and train, and the naive one beside it."""
    assert settings.source is not None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    most_seconds = min(settings.most_seconds, 60 * (run.budget.minutes or 60))
    kept = Settings(source=settings.source, model=settings.model, load=settings.load)
    data, reading = _in_memory(settings.source, kept)
    model = DigitNet(settings.model).to(device)
    initial = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    naive = Settings(source=settings.source, model=settings.model)
    files = Recordings(recording_files(settings.source), naive)
    beside = _timed(model, files, naive, run.seed, most_seconds / 3, settings.naive_items)
    model.load_state_dict(initial)
    if settings.parallel == "none":
        measured = _timed(model, data, settings, run.seed, most_seconds, run.budget.steps)
    else:
        model = model.cpu()
        measured = in_processes(model, _stacked(data), settings, run.seed, most_seconds, run.budget.steps)
    return {
        "epoch_seconds": measured.per_item * len(data),
        "naive_seconds": beside.per_item * len(data),
        "ratio": beside.per_item / measured.per_item,
        "items": measured.items,
        "epoch": len(data),
        "share": min(1.0, measured.items / len(data)),
        "updates": measured.updates,
        "reading_seconds": reading,
        "loss": _loss(model, data),
        "pinned": "no" if not settings.pin_memory else "yes" if device.type == "cuda" else "no GPU to pin for",
    }


def _timed(
    model: nn.Module, data: Recordings, settings: Settings, seed: int, most_seconds: float, most_updates: int | None
) -> Measured:
    """Train after a warm-up, which makes what the first step of a shape makes."""
    warm = replace(settings, batch_size=min(settings.batch_size, WARM_UP), workers=0)
    train(model, batches(data, warm, seed + 1), most_seconds, 1)
    return train(model, batches(data, settings, seed), most_seconds, most_updates)


@torch.no_grad()
def _loss(model: nn.Module, data: Recordings) -> float:
    """Of a part of the recordings, by the trained model: fast is of no use if nothing was learned."""
    device = next(model.parameters()).device
    chosen = range(0, len(data), max(1, len(data) // JUDGED))
    inputs, digits = zip(*(data[index] for index in chosen), strict=True)
    logits = model(torch.stack(inputs).to(device)).cpu()
    return float(functional.cross_entropy(logits, torch.tensor(digits)))


def plot(results: list[Result], path: Path) -> None:
    """Seconds of an epoch by run, on a logarithmic scale, with the ratio to the naive loader."""
    figure = Figure(figsize=(8.5, 0.9 + 0.3 * len(results)), layout="constrained")
    axis = figure.subplots()
    places = range(len(results))
    seconds = [float(result.results["epoch_seconds"]) for result in results]
    axis.barh(places, seconds, color="#1f6feb")
    for place, second, result in zip(places, seconds, results, strict=True):
        part = "" if float(result.results["share"]) >= 1 else f", {100 * float(result.results['share']):.0f} % measured"
        ratio = float(result.results["ratio"])
        axis.text(second, place, f" {second:.3g} s, {ratio:.1f} x{part}", va="center", fontsize=8)
    axis.set_yticks(places, [result.run for result in results], fontsize=8)
    axis.invert_yaxis()
    axis.set(xscale="log", xlabel="seconds of an epoch; x: times as fast as the naive loader beside it")
    axis.set_xlim(right=6 * max(seconds))
    axis.spines[["top", "right"]].set_visible(False)
    atomic_write(path, png(figure))
