"""The native engine: utterances made alone, in pieces, or many at a time, on a CPU; compiled code, no torch.

`layout` folds and lays out the weights, `frames` is the compiled loop, `kernels` are its sums; here are the
places for utterances in that loop, which `scheduler` gives away. What is made for a request is the same bits whatever
is made beside it, by however many threads and in pieces of whatever size. The engine supports the models that ship;
`unsupported` says which others it does not.
"""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tts.core.errors import InputError
from tts.generation.durations import Durations, DurationSampler
from tts.generation.interface import StopReason, SynthesisRequest, SynthesisResult, Uniforms
from tts.generation.native.arrays import Slots
from tts.generation.native.family import unsupported
from tts.generation.native.frames import run_frames
from tts.generation.native.kernels import LANES
from tts.generation.native.layout import UNITS_AT_A_TIME, Folder, UnitGates, aligned_zeros
from tts.generation.scheduler import Piece, make_each, make_one
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig

STREAMS_PER_THREAD = 16
"""Enough for four at a time to share each weight, few enough for their states to stay in the inner caches."""
SHARED_BLOCK_FRAMES = 16
"""A stream that stops keeps its place until the end of a call; so calls for many streams are short."""


class NativeEngine:
    """Makes codes with a model's weights on CPU cores."""

    def __init__(
        self,
        config: TwoTierConfig,
        weights: Mapping[str, np.ndarray],
        block_frames: int = 64,
        threads: int | None = None,
    ) -> None:
        """Lay the weights out.

        Args:
            config: the model's shape.
            weights: as `TwoTier(config).state_dict()`, floating-point numpy arrays.
            block_frames: frames made per call of the compiled loop, 1 to 256; the result does not depend on it.
            threads: for several requests at a time, at least 1; None: as many as there are cores for this process.
                One request is made by the calling thread alone.

        Raises:
            InputError: see `checked_weights`; or the engine does not support the model; or there is no such number of
                threads.
        """
        if reason := unsupported(config):
            raise InputError(f"the native engine does not support {reason}; use the engine torch")
        assert 1 <= block_frames <= UNITS_AT_A_TIME, block_frames
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1")
        self.config = config
        self.block_frames = block_frames
        self.threads = threads or _cores()
        self._folder = Folder(config, checked_weights(config, weights))
        self._weights = self._folder.lay_out()
        self._shape = self._folder.shape()
        self._duration_sampler = (
            DurationSampler(config, self._folder.weights) if config.duration == "explicit" else None
        )

    def generate(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisResult]:
        """Make each utterance; as many at a time as pays."""
        streams = min(len(requests), self.threads * STREAMS_PER_THREAD)
        return list(self.generate_each(requests, max(streams, 1)))

    def generate_each(
        self, requests: Iterable[SynthesisRequest], streams: int | None = None
    ) -> Iterator[SynthesisResult]:
        """Make each utterance, yielded in the order of the requests; see `scheduler.make_each`.

        Args:
            requests: any number.
            streams: how many are made at a time, at least 1; None: 16 a thread.

        Raises:
            InputError: there is no such number of streams.
        """
        if streams is not None and streams < 1:
            raise InputError(f"streams is {streams}; it must be at least 1")
        return self._each(iter(requests), streams or self.threads * STREAMS_PER_THREAD)

    def _each(self, requests: Iterator[SynthesisRequest], streams: int) -> Iterator[SynthesisResult]:
        count = min(self.threads, streams)
        groups = [_Group(self, streams // count + (k < streams % count)) for k in range(count)]
        yield from make_each(groups, requests)

    def stream(self, request: SynthesisRequest, first_frames: int = 5) -> Generator[np.ndarray, None, SynthesisResult]:
        """Make one utterance and yield it as it is made; returns (as StopIteration's value) the whole.

        Args:
            request: what to make.
            first_frames: frames of the first piece, at least 1; each piece is up to twice as long as the one before.

        Yields:
            (n,) int16 codes, n a multiple of frame_size; joined they are `SynthesisResult.codes`.
        """
        return make_one(_Group(self, 1), request, first_frames)

    def relu_shares(self, request: SynthesisRequest) -> tuple[float, ...]:
        """Of each sample layer's neurons, the share above 0 while the request is made; the others cost nothing."""
        group = _Group(self, 1)
        samples = sum(len(codes) for codes in make_one(group, request, self.block_frames))
        return tuple((group.slots.positive / (samples * self.config.sample_dim)).tolist())

    @property
    def form(self) -> str:
        """How the weights lie in memory: "bfloat16", "float16" or "float32", the shortest that is exact."""
        return self._folder.form


class _Making(NamedTuple):
    """What a place reads of its request, a block at a time."""

    gates: UnitGates
    durations: Durations | None
    uniforms: Uniforms


class _Group:
    """Places for utterances that one thread makes together; a `scheduler.Worker`."""

    def __init__(self, engine: NativeEngine, places: int) -> None:
        self.engine, self.places = engine, places
        self.block_frames = engine.block_frames if places == 1 else min(engine.block_frames, SHARED_BLOCK_FRAMES)
        self.busy: dict[int, _Making] = {}
        self.slots = _new_slots(engine, places, self.block_frames)

    def begin(self, place: int, request: SynthesisRequest) -> None:
        """See `scheduler.Worker`."""
        engine, s = self.engine, self.slots
        c, w = engine.config, engine._folder.weights
        gates = UnitGates(engine._folder, request.units, request.speaker)
        s.h.reshape(-1, c.dim)[place] = w["h0"][0]
        s.c.reshape(-1, c.dim)[place] = w["c0"][0]
        s.values.reshape(self.places, -1)[place] = 0.0
        s.codes[place] = c.q_levels // 2
        max_unit_frames = request.max_unit_frames if c.conditioning == "pointer" else request.max_frames + 1
        s.units[place] = 0, 0, gates.count, max_unit_frames
        s.frames[place] = 0, request.max_frames
        s.timing[place] = 0.0, 0.0, request.sampling.duration_spread
        s.inverse_temperature[place] = 1 / request.sampling.temperature
        durations = engine._duration_sampler.sample(request) if engine._duration_sampler else None
        self.busy[place] = _Making(gates, durations, Uniforms(request.seed, c.frame_size))

    def run(self, frames: int) -> list[Piece]:
        """See `scheduler.Worker`."""
        s = self.slots
        for place, (gates, durations, uniforms) in self.busy.items():
            s.uniforms[place, :frames] = uniforms.rows(frames)
            unit = int(s.units[place, 0])
            gates.reach(unit, frames)
            s.base[place] = gates.table.ctypes.data, gates.first, unit
            if durations is not None:
                s.durations[place, : frames + 1] = [durations[unit + k] for k in range(frames + 1)]
        run_frames(self.engine._weights, s, self.engine._shape, frames)
        return [self._piece(place) for place in list(self.busy)]

    def _piece(self, place: int) -> Piece:
        s, made = self.slots, int(self.slots.done[place])
        stopped, capped = s.units[place, 0] == s.units[place, 2], s.frames[place, 0] == s.frames[place, 1]
        reason: StopReason | None = "stop" if stopped else "cap" if capped else None
        if reason:
            s.units[place] = 0  # nothing to make
            del self.busy[place]
        codes = s.made[place, : made * self.engine.config.frame_size].copy()
        return Piece(place, codes, s.events[place, :made].copy(), reason)


def _new_slots(engine: NativeEngine, n: int, frames: int) -> Slots:
    c, shape = engine.config, engine._shape
    scratch = max(shape.H, shape.S) + 2 * LANES
    return Slots(
        h=aligned_zeros(n, c.dim),
        c=aligned_zeros(n, c.dim),
        values=aligned_zeros(n, shape.P + shape.F),
        codes=np.zeros((n, shape.P + shape.F), np.int64),
        units=np.zeros((n, 4), np.int64),
        base=np.zeros((n, 3), np.int64),
        durations=np.zeros((n, frames + 1), np.int64),
        frames=np.zeros((n, 2), np.int64),
        timing=np.zeros((n, 3), np.float64),
        inverse_temperature=np.zeros(n, np.float32),
        uniforms=np.zeros((n, frames, shape.F + 1), np.float32),
        made=np.zeros((n, frames * shape.F), np.int16),
        events=np.zeros((n, frames), np.uint8),
        done=np.zeros(n, np.int64),
        positive=np.zeros(c.sample_layers, np.int64),
        live=np.zeros(n, np.int64),
        gates=aligned_zeros(n, shape.G),
        upsampled=aligned_zeros(n, shape.upsampled_width),
        x=aligned_zeros(shape.F, shape.sample_width),
        y=aligned_zeros(shape.sample_width),
        zeros=aligned_zeros(shape.sample_width),
        logits=aligned_zeros(shape.logit_width),
        totals=aligned_zeros(LANES),
        offsets=np.zeros(scratch, np.int32),
        scales=aligned_zeros(scratch),
    )


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
