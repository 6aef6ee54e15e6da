"""What a model costs, what a core can do, and how fast the one could therefore run on the other.

The engine's work is products of int8 matrices. Each part of the model is counted as multiply-adds and bytes of weights
for one sample; a core is measured with the engine's own dense product in each cache and in memory; the limit is the
time that the counted work takes at the measured rates with nothing else to do.

Reference: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
"""

import functools
import math
import time
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tts.generation.native import library
from tts.generation.native.layout import PANEL
from tts.models.config import TwoTierConfig

CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
"""Bytes that one core of a Zen 4 server has or can reach; the defaults below."""
MODEL_BYTES = 4 << 20
"""At most so much is read to measure a cache, twice what the voice that ships takes: on a shared machine a core has
only a part of L3 for itself, and half of all of it would be measured at the speed of memory."""


@dataclass(frozen=True)
class Part:
    """The work of one part of the model for one sample; what is done once a frame is divided by its samples."""

    dense: float
    """Multiply-adds if nothing were skipped."""
    effective: float
    """Multiply-adds that are done: a hidden unit at 0 adds nothing, and its row is not read."""
    bytes_read: float
    """Bytes of weights that those read, each time anew; one stream."""
    bytes_held: int
    """Bytes of all its weights."""
    per_frame: bool
    """It belongs to the frame tier: all of it is read once a frame, and streams made together share it."""
    fourfold: bool
    """Each weight that is read is used for four places of the frame, also for one stream."""


def operations(config: TwoTierConfig, relu_shares: tuple[float, ...] | None = None) -> dict[str, Part]:
    """Count a model's work per sample, by part.

    Args: relu_shares, of each sample layer's units the share above 0 (`NativeEngine.relu_shares`); None: all.

    Returns: frame (the recurrent layers), upsample, conditioning (with a rank), past (a sample's history before its own
        frame), recent (its history in its own frame, and the last code), hidden, output; in this order.
    """
    c = config
    shares = relu_shares or (1.0,) * c.sample_layers
    assert len(shares) == c.sample_layers, (shares, c.sample_layers)
    F, D, S, H, Q = c.frame_size, c.dim, c.sample_dim, c.hist_size, c.q_levels
    gates = {"lstm": 4, "gru": 3}[c.cell] * D

    def part(weights: int, dense: float, share: float = 1, frame: bool = False, reuse: int = 1, size: int = 1) -> Part:
        """Of weights of `size` bytes each, each used for `reuse` places of a frame."""
        return Part(dense, share * dense, share * dense * size / reuse, weights * size, frame, reuse == 4)

    frame = (F + (2 * c.n_rnn - 1) * D) * gates
    upsample = D * F * (c.upsample_rank or S)
    parts = {"frame": part(frame, frame / F, frame=True), "upsample": part(upsample, upsample / F, frame=True)}
    if c.upsample_rank:
        parts["conditioning"] = part(c.upsample_rank * S, c.upsample_rank * S, reuse=4, size=2)
    if c.history == "real":
        own = sum(min(f, H) for f in range(F)) / F
        parts["past"] = part(H * S, (H - own) * S, reuse=4, size=2)
        parts["recent"] = part(Q * S, (own + 1) * S, size=4)
    else:
        parts["recent"] = part(H * Q * S, H * S)
    hidden = (c.sample_layers - 1) * S * S
    parts["hidden"] = part(hidden, hidden, float(np.mean(shares[:-1] or 1)))
    parts["output"] = part(S * Q, S * Q, shares[-1])
    return parts


@dataclass(frozen=True)
class Machine:
    """One core, measured with the engine's dense product of int8 weights and inputs of 7 bits."""

    alone: dict[str, float]
    """Multiply-adds per second by where the weights come from (L1, L2, L3, memory), each weight used once."""
    fourfold: dict[str, float]
    """The same with each weight used four times, as for four streams."""

    @property
    def peak(self) -> float:
        """Multiply-adds per second at the most."""
        return max(*self.alone.values(), *self.fourfold.values())


def measure_machine(isa: str | None = None, seconds: float = 0.1, caches: Mapping[str, int] = CACHES) -> Machine:
    """Measure this core: the best of many short runs, by the time that the thread itself ran.

    Args: isa, None for `library.chosen()`; seconds, spent on each of the eight rates, at least; caches, bytes of each:
        half of one, at most `MODEL_BYTES`, is read again and again, eight times the last one for memory.
    """
    measure = library.load(isa or library.chosen()).measure
    sizes = {level: min(size // 2, MODEL_BYTES) for level, size in caches.items()} | {
        "memory": 8 * max(caches.values())
    }
    rates: dict[int, dict[str, float]] = {1: {}, 4: {}}
    for level, size in sizes.items():
        pairs = min(224, size // (4 * PANEL) * 2)
        outputs = size // (2 * pairs * PANEL) * PANEL
        weights, y = np.zeros(2 * pairs * outputs, np.int8), np.zeros(outputs, np.float32)
        for uses, to in rates.items():
            work = weights.size * uses
            repeats = max(1, 4_000_000 // work)
            run = functools.partial(measure, weights.ctypes.data, pairs, outputs, uses, repeats, y.ctypes.data)
            to[level] = work * repeats / _best(seconds, run)
    return Machine(rates[1], rates[4])


def _best(seconds: float, run: Callable[[], None]) -> float:
    timer = timeit.Timer(run, timer=time.thread_time)
    timer.timeit(1)
    begin, best = time.thread_time(), math.inf
    while time.thread_time() < begin + seconds:
        best = min(best, timer.timeit(1))
    return best


@dataclass(frozen=True)
class Limit:
    """How fast a core could make a model's samples."""

    levels: dict[str, str]
    """Where each part's weights come from."""
    seconds: dict[str, float]
    """Of each part, for one sample, at the measured rates."""
    samples_per_second: float
    """All parts one after the other."""
    peak_samples_per_second: float
    """If every multiply-add went at the core's highest rate: no cache in the way."""


def limits(parts: Mapping[str, Part], machine: Machine, streams: int = 1, caches: Mapping[str, int] = CACHES) -> Limit:
    """The speed that one core's measured rates allow; the share reached is a measured speed divided by it.

    The weights of the frame tier come from the first cache that holds the whole model, since all of it passes by
    between one use and the next; the sample tier's from the first that holds the sample tier, L2 at best.

    Args: streams, made together by the core; from four on, the frame tier's weights are used four times each.
    """
    whole = sum(part.bytes_held for part in parts.values())
    of_samples = sum(part.bytes_held for part in parts.values() if not part.per_frame)

    def level(size: int) -> str:
        return next((name for name, held in caches.items() if name != "L1" and size <= held), "memory")

    levels = {name: level(whole if part.per_frame else of_samples) for name, part in parts.items()}
    seconds = {}
    for name, part in parts.items():
        rates = machine.fourfold if part.fourfold or (part.per_frame and streams >= 4) else machine.alone
        seconds[name] = part.effective / rates[levels[name]]
    work = sum(part.effective for part in parts.values())
    return Limit(levels, seconds, 1 / sum(seconds.values()), machine.peak / work)
