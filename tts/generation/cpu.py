"""The CPU engine: utterances made alone, in pieces, or many at a time; compiled code, no torch.

`cpu_layout` folds and lays out the weights, `cpu_frames` is the compiled loop, `cpu_kernels` are its sums. Here
utterances get places in that loop and give them up. What is said for a request is the same bits whatever is made beside
it, by however many threads and in pieces of whatever size.
"""

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from tts.errors import InputError
from tts.generation.cpu_frames import FORCED, Slots, run_frames
from tts.generation.cpu_kernels import LANES
from tts.generation.cpu_layout import WORDS_AT_A_TIME, Folder, WordGates, aligned_zeros
from tts.generation.plan import Plan, Planner
from tts.generation.request import Generated, Request, Uniforms
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig

STREAMS_PER_THREAD = 16
"""Enough for four at a time to share each weight, few enough for their states to stay in the inner caches."""
SHARED_BLOCK_FRAMES = 16
"""A stream that stops keeps its place until the end of a call; so calls for many streams are short."""


class CpuEngine:
    """Speaks with a model's weights on CPU cores."""

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
            InputError: see `checked_weights`; or there is no such number of threads.
        """
        assert 1 <= block_frames <= WORDS_AT_A_TIME, block_frames
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1")
        self.config = config
        self.block_frames = block_frames
        self.threads = threads or _cores()
        self._folder = Folder(config, checked_weights(config, weights))
        self._weights = self._folder.lay_out()
        self._shape = self._folder.shape()
        self._planner = Planner(config, self._folder.weights) if config.timing == "planned" else None

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Make each utterance; as many at a time as pays."""
        streams = min(len(requests), self.threads * STREAMS_PER_THREAD)
        return list(self.generate_each(requests, max(streams, 1)))

    def generate_each(self, requests: Iterable[Request], streams: int | None = None) -> Iterator[Generated]:
        """Make each utterance, yielded in the order of the requests; memory does not grow with their number.

        Requests are asked for one at a time, by the thread that asks for the utterances, when there is a place for them
        and fewer than 4 x `streams` are in the making or wait for an earlier one. If `requests` raises, what came
        before is made and yielded first.

        Args:
            requests: any number.
            streams: how many are made at a time, at least 1; None: 16 a thread.

        Raises:
            InputError: there is no such number of streams.
        """
        if streams is not None and streams < 1:
            raise InputError(f"streams is {streams}; it must be at least 1")
        return self._each(iter(requests), streams or self.threads * STREAMS_PER_THREAD)

    def _each(self, requests: Iterator[Request], streams: int) -> Iterator[Generated]:
        n_groups = min(self.threads, streams)
        groups = [_Group(self, streams // n_groups + (k < streams % n_groups)) for k in range(n_groups)]
        pool = ThreadPoolExecutor(n_groups) if n_groups > 1 else None
        ready: dict[int, Generated] = {}
        running: dict[Future[list[_Utterance]], _Group] = {}
        failure: Exception | None = None
        pulled = given = 0
        more = True
        try:
            while True:
                idle = [group for group in groups if group not in running.values()]
                while more and pulled - given < 4 * streams and any(group.free for group in idle):
                    try:
                        request = next(requests)
                    except StopIteration:
                        more = False
                    except Exception as error:
                        failure, more = error, False
                    else:
                        max((group for group in idle if group.free), key=lambda group: len(group.free)).put(
                            self._begin(pulled, request)
                        )
                        pulled += 1
                for group in idle:
                    if group.busy:
                        running[_submitted(pool, group)] = group
                while given in ready:
                    yield ready.pop(given)
                    given += 1
                if not running and not more:
                    break
                if not running:  # what was ready had to be given before more could be asked for
                    continue
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    ready.update((one.index, one.result()) for one in future.result())
            if failure is not None:
                raise failure
        finally:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    def stream(self, request: Request, first_frames: int = 5) -> Generator[np.ndarray, None, Generated]:
        """Make one utterance and yield it as it is made; returns (as StopIteration's value) the whole.

        Args:
            request: what to make.
            first_frames: frames of the first piece, at least 1; each piece is up to twice as long as the one before.

        Yields:
            (t,) int16 levels, t a multiple of frame_size; joined they are `Generated.levels`.
        """
        assert first_frames >= 1, first_frames
        group = _Group(self, 1)
        utterance = self._begin(0, request)
        group.put(utterance)
        frames = first_frames
        while group.busy:
            group.run(min(frames, self.block_frames))
            yield utterance.pieces[-1]
            frames *= 2
        return utterance.result()

    def _begin(self, index: int, request: Request) -> "_Utterance":
        gates = WordGates(self._folder, request.words, request.speaker)
        return _Utterance(index, request, gates, self._planner.plan(request) if self._planner else None)

    def relu_shares(self, request: Request) -> tuple[float, ...]:
        """Of each sample layer's units, the share above 0 while the request is made; the rest costs nothing."""
        group = _Group(self, 1)
        group.put(self._begin(0, request))
        samples = 0
        while group.busy:
            group.run()
            samples += int(group.slots.done.sum()) * self.config.frame_size
        return tuple((group.slots.positive / (samples * self.config.sample_dim)).tolist())

    @property
    def form(self) -> str:
        """How the weights lie in memory: "bfloat16", "float16" or "float32", the shortest that is exact."""
        return self._folder.form


def _submitted(pool: ThreadPoolExecutor | None, group: "_Group") -> "Future[list[_Utterance]]":
    if pool is not None:
        return pool.submit(group.run)
    done: Future[list[_Utterance]] = Future()
    done.set_result(group.run())
    return done


@dataclass
class _Utterance:
    """A request in the making."""

    index: int
    request: Request
    gates: WordGates
    plan: Plan | None
    pieces: list[np.ndarray] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    frames: int = 0
    forced: int = 0

    def result(self) -> Generated:
        stopped = len(self.ends) == self.gates.count
        return Generated(np.concatenate(self.pieces), self.ends, "stop" if stopped else "cap", self.forced)


class _Group:
    """Places for utterances that one thread makes together."""

    def __init__(self, engine: CpuEngine, places: int) -> None:
        self.engine = engine
        self.frames = engine.block_frames if places == 1 else min(engine.block_frames, SHARED_BLOCK_FRAMES)
        self.free = list(range(places))
        self.busy: dict[int, tuple[_Utterance, Uniforms]] = {}
        self.slots = _new_slots(engine, places, self.frames)

    def put(self, utterance: _Utterance) -> None:
        """Give an utterance a free place."""
        slot, request = self.free.pop(), utterance.request
        c, s, w = self.engine.config, self.slots, self.engine._folder.weights
        states = (c.n_rnn, -1, c.dim)
        s.h.reshape(states)[:, slot] = w["h0"]
        if c.cell == "lstm":
            s.c.reshape(states)[:, slot] = w["c0"]
        s.values.reshape(len(s.done), -1)[slot] = 0.0
        s.levels[slot] = c.q_levels // 2
        max_word_frames = request.max_word_frames if c.conditioning == "pointer" else request.max_frames + 1
        s.words[slot] = 0, 0, utterance.gates.count, max_word_frames
        s.frames[slot] = 0, request.max_frames
        s.timing[slot] = 0.0, 0.0, request.sampling.timing_spread
        s.inverse_temperature[slot] = 1 / request.sampling.temperature
        self.busy[slot] = utterance, Uniforms(request.seed, c.frame_size)

    def run(self, frames: int | None = None) -> list[_Utterance]:
        """Make so many frames of each; returns those that are finished, their places free again."""
        frames = self.frames if frames is None else frames
        c, s = self.engine.config, self.slots
        for slot, (utterance, uniforms) in self.busy.items():
            s.uniforms[slot, :frames] = uniforms.rows(frames)
            utterance.gates.reach(int(s.words[slot, 0]), frames)
            word = int(s.words[slot, 0])
            s.base[slot] = utterance.gates.table.ctypes.data, utterance.gates.first, word
            if utterance.plan is not None:
                s.plan[slot, : frames + 1] = [utterance.plan[word + k] for k in range(frames + 1)]
        run_frames(self.engine._weights, s, self.engine._shape, frames, c.cell == "lstm", c.history == "real")
        finished = []
        for slot, (utterance, _) in list(self.busy.items()):
            made = int(s.done[slot])
            utterance.pieces.append(s.made[slot, : made * c.frame_size].copy())
            events = s.events[slot, :made]
            utterance.ends += ((utterance.frames + 1 + np.flatnonzero(events)) * c.frame_size).tolist()
            utterance.forced += int(np.count_nonzero(events & FORCED))
            utterance.frames += made
            if s.words[slot, 0] == s.words[slot, 2] or s.frames[slot, 0] == s.frames[slot, 1]:
                s.words[slot] = 0  # nothing to say
                del self.busy[slot]
                self.free.append(slot)
                finished.append(utterance)
        return finished


def _new_slots(engine: CpuEngine, n: int, frames: int) -> Slots:
    c, shape = engine.config, engine._shape
    scratch = max(shape.H, shape.S) + 2 * LANES
    return Slots(
        h=aligned_zeros(c.n_rnn, n, c.dim),
        c=aligned_zeros(c.n_rnn, n, c.dim),
        values=aligned_zeros(n, shape.P + shape.F),
        levels=np.zeros((n, shape.P + shape.F), np.int64),
        words=np.zeros((n, 4), np.int64),
        base=np.zeros((n, 3), np.int64),
        plan=np.zeros((n, frames + 1), np.int64),
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
        told=aligned_zeros(n, shape.told_width),
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
