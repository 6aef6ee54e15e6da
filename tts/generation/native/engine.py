"""The native engine: utterances made alone, in pieces, or many at a time, by compiled C; no torch.

`layout` packs the weights, `engine.c` is the loop, `library` loads it. What is said for a request is the same bits
whatever is made beside it, by however many threads, in pieces of whatever size, on whatever machine.
"""

import ctypes
import os
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tts.core.errors import InputError
from tts.generation.durations import Durations, DurationSampler
from tts.generation.family import unsupported
from tts.generation.interface import Piece, StopReason, SynthesisRequest, SynthesisResult, Uniforms, pooled
from tts.generation.native import library
from tts.generation.native.layout import pack, shape_of
from tts.generation.scheduler import make_each, make_one
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig

STREAMS_PER_THREAD = 16
"""Enough to share each weight, few enough for their states to stay in the inner caches."""
BLOCK_FRAMES, SHARED_BLOCK_FRAMES = 256, 16
"""Frames of a call, of one slot and of many: each call costs Python some time, but a stream that ends keeps its slot
until the end of one."""
_INT32 = 2**31 - 1


class NativeEngine:
    """Speaks with a model's weights on CPU cores."""

    def __init__(
        self,
        config: TwoTierConfig,
        weights: Mapping[str, np.ndarray],
        block_frames: int = BLOCK_FRAMES,
        threads: int | None = None,
        isa: str | None = None,
    ) -> None:
        """Pack the weights.

        Args:
            config: the model's shape.
            weights: as `TwoTier(config).state_dict()`, floating-point numpy arrays; see `rounding.round_weights`.
            block_frames: frames of a call of the library, at least 1; the result does not depend on it.
            threads: for several requests at a time, at least 1; None: as many as there are cores for this process.
                One request is made by the calling thread alone.
            isa: one of `library.usable()`; None: `library.chosen()`.

        Raises:
            InputError: see `checked_weights`, `pack` and `library.chosen`; the config is outside of the engine's
                family; or there is no such number of threads.
        """
        assert block_frames >= 1, block_frames
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1")
        if reason := unsupported(config):
            raise InputError(f"the native engine does not support {reason}; use the engine torch")
        self.config = config
        self.block_frames = block_frames
        self.threads = threads or _cores()
        self.isa = isa or library.chosen()
        checked = checked_weights(config, weights)
        self._functions = library.load(self.isa)
        self._shape = shape_of(config)
        self._weights = pack(config, checked)
        self._duration_sampler = DurationSampler(config, checked) if config.duration == "explicit" else None

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
        yield from make_each([Slots(self, streams // count + (k < streams % count)) for k in range(count)], requests)

    def stream(self, request: SynthesisRequest, first_frames: int = 5) -> Generator[np.ndarray, None, SynthesisResult]:
        """Make one utterance and yield it as it is made; returns (as StopIteration's value) the whole.

        Args:
            request: what to make.
            first_frames: frames of the first piece, at least 1; each piece is up to twice as long as the one before.

        Yields:
            (t,) int16 codes, t a multiple of frame_size; joined they are `SynthesisResult.codes`.
        """
        return make_one(Slots(self, 1), request, first_frames)

    def worker(self, places: int) -> "Slots":
        """See `interface.Engine`."""
        return Slots(self, places)

    def relu_shares(self, request: SynthesisRequest) -> tuple[float, ...]:
        """Of each sample layer's units, the share above 0 while the request is made; the rest costs nothing."""
        slots = Slots(self, 1)
        for _ in make_one(slots, request, self.block_frames):
            pass
        positive = np.zeros(self.config.sample_layers, np.int64)
        samples = self._functions.group_counts(slots.group, positive.ctypes.data)
        return tuple((positive / (samples * self.config.sample_dim)).tolist())


@dataclass
class _Utterance:
    """What a slot is given of its request, a block at a time, and how far it has come."""

    request: SynthesisRequest
    vectors: np.ndarray
    inverse_temperatures: np.ndarray
    """(units, unit_dim) and (units,) float32, contiguous; the library reads them until the end."""
    uniforms: Uniforms
    durations: Durations | None
    unit: int = 0
    frames: int = 0
    begun: int = 0
    """The frame where the unit at hand began."""

    def upcoming(self, frames: int) -> list[int]:
        """The durations of the unit at hand and of as many after it as so many frames can reach."""
        assert self.durations is not None
        found: list[int] = []
        left = self.frames - self.begun + frames
        while left > 0 and self.unit + len(found) < len(self.vectors):
            found.append(self.durations[self.unit + len(found)])
            left -= abs(found[-1])
        return found

    def add(self, events: np.ndarray) -> StopReason | None:
        """Count frames that were made; why they are the last ones, if they are."""
        ended = np.flatnonzero(events)
        if len(ended):
            self.unit, self.begun = self.unit + len(ended), self.frames + int(ended[-1]) + 1
        self.frames += len(events)
        return "stop" if self.unit == len(self.vectors) else "cap" if self.frames == self.request.max_frames else None


class Slots:
    """Slots of the library, for utterances that one thread makes together; a `scheduler.Worker`."""

    def __init__(self, engine: NativeEngine, places: int) -> None:
        """So many slots, all free."""
        self.engine, self.places = engine, places
        self.block_frames = engine.block_frames if places == 1 else min(engine.block_frames, SHARED_BLOCK_FRAMES)
        self._busy: dict[int, _Utterance] = {}
        weights, functions = engine._weights, engine._functions
        self.group = functions.group_new(ctypes.byref(engine._shape), weights.ctypes.data, weights.nbytes, places)
        if not self.group:
            raise MemoryError(f"no memory for {places} utterances at a time")
        weakref.finalize(self, functions.group_free, self.group)
        self._sizes = frames, F = self.block_frames, engine.config.frame_size
        self._uniforms = np.zeros((places, frames, F + 1), np.float32)
        self._durations = np.zeros((places, frames + 1), np.int32)
        self._codes = np.zeros((places, frames, F), np.int16)
        self._events = np.zeros((places, frames), np.uint8)
        self._done = np.zeros(places, np.int32)
        self._nothing, self._one = np.zeros((1, engine.config.word_dim), np.float32), np.ones(1, np.float32)

    def begin(self, place: int, request: SynthesisRequest) -> None:
        """See `scheduler.Worker`."""
        engine, c = self.engine, self.engine.config
        if c.conditioning == "pooled":
            request = pooled(request)
        vectors = np.ascontiguousarray(request.units, dtype=np.float32)
        assert vectors.shape[1] == c.word_dim, (vectors.shape, c.word_dim)
        inverse_temperatures = (1 / request.temperatures()).astype(np.float32)
        assert place not in self._busy, place
        begun = engine._functions.group_begin(
            self.group,
            place,
            vectors.ctypes.data,
            len(vectors),
            request.speaker,
            request.max_frames,
            request.max_unit_frames,
            inverse_temperatures.ctypes.data,
            request.sampling.duration_spread,
        )
        assert begun, request
        durations = engine._duration_sampler.sample(request) if engine._duration_sampler else None
        uniforms = Uniforms(request.seed, c.frame_size)
        self._busy[place] = _Utterance(request, vectors, inverse_temperatures, uniforms, durations)

    def leave(self, place: int) -> None:
        """See `scheduler.Worker`. The library begins an utterance of one frame there, which ends unseen."""
        del self._busy[place]
        begin, nothing, one = self.engine._functions.group_begin, self._nothing, self._one
        assert begin(self.group, place, nothing.ctypes.data, 1, 0, 1, 1, one.ctypes.data, 1.0)

    def run(self, frames: int) -> list[Piece]:
        """See `scheduler.Worker`."""
        most, F = self._sizes
        assert 1 <= frames <= most, (frames, most)
        uniforms, durations, codes, events = (
            whole.reshape(-1)[: self.places * width].reshape(self.places, width)
            for whole, width in (
                (self._uniforms, frames * (F + 1)),
                (self._durations, frames + 1),
                (self._codes, frames * F),
                (self._events, frames),
            )
        )
        for place, utterance in self._busy.items():
            uniforms[place] = utterance.uniforms.rows(frames).reshape(-1)
            if utterance.durations is not None:
                upcoming = np.clip(utterance.upcoming(frames), -_INT32, _INT32)
                durations[place, : len(upcoming)] = upcoming
        self.engine._functions.group_run(
            self.group, frames, *(array.ctypes.data for array in (uniforms, durations, codes, events, self._done))
        )
        pieces = []
        for place in list(self._busy):
            made = int(self._done[place])
            reason = self._busy[place].add(events[place, :made])
            pieces.append(Piece(place, codes[place, : made * F].copy(), events[place, :made].copy(), reason))
            if reason:
                del self._busy[place]
        return pieces


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
