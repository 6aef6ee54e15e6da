"""Gives utterances places in the batches of an engine; all engines share it.

An engine makes utterances in the places of one or more workers. Here requests are taken one by one, each gets a
free place, and results are yielded in the order of the requests. A place is free again as soon as its utterance has
ended, so short utterances do not wait for long ones, and memory does not grow with the number of requests.

Letters: F = frame_size, N frames.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np

from tts.generation.interface import FORCED, Piece, SynthesisRequest, SynthesisResult, Worker

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

AHEAD = 4
"""Requests taken before their results are yielded, at most, for each place."""

_Ended = list[tuple[int, SynthesisResult]]


@dataclass
class Utterance:
    """What has been made for a request."""

    index: int
    silences: Mapping[int, np.ndarray] = field(default_factory=dict)
    pieces: list[np.ndarray] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    samples: int = 0
    forced: int = 0

    def add(self, piece: Piece) -> SynthesisResult | None:
        """Append a piece and the silences in it; after the last one the whole utterance."""
        frame_size = len(piece.codes) // len(piece.events)
        begin = 0
        if not self.samples and -1 in self.silences:
            self._append(self.silences[-1])
        for end in ((1 + np.flatnonzero(piece.events)) * frame_size).tolist():
            if (silence := self.silences.get(len(self.ends))) is None:
                self.ends.append(self.samples + end - begin)
                continue
            self._append(piece.codes[begin:end])
            self._append(silence)
            self.ends.append(self.samples)
            begin = end
        self._append(piece.codes[begin:])
        self.forced += int(np.count_nonzero(piece.events & FORCED))
        if piece.stop_reason is None:
            return None
        return SynthesisResult(np.concatenate(self.pieces), self.ends, piece.stop_reason, self.forced)

    def _append(self, codes: np.ndarray) -> None:
        if len(codes):
            self.pieces.append(codes)
            self.samples += len(codes)


class _Places:
    """The places of a worker, and the utterances in them."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.free = list(range(worker.places))  # a heap: the lowest place first, so that those in use lie together
        self.making: dict[int, Utterance] = {}

    def begin(self, index: int, request: SynthesisRequest) -> None:
        place = heappop(self.free)
        self.worker.begin(place, request)
        self.making[place] = Utterance(index, request.silences)

    def run(self) -> _Ended:
        """Make a block of frames; the utterances that ended, by index."""
        ended = []
        for piece in self.worker.run(self.worker.block_frames):
            utterance = self.making[piece.place]
            if whole := utterance.add(piece):
                del self.making[piece.place]
                heappush(self.free, piece.place)
                ended.append((utterance.index, whole))
        return ended


def make_each(workers: Sequence[Worker], requests: Iterator[SynthesisRequest]) -> Iterator[SynthesisResult]:
    """Make each utterance, yielded in the order of the requests.

    Requests are taken one at a time, by the thread that takes the results, when there is a free place and fewer than
    `AHEAD` for each place have been taken and not yielded. If `requests` raises, what came before is made and yielded
    first. Several workers run in a thread each; with one, everything happens in the calling thread.
    """
    all_places = [_Places(worker) for worker in workers]
    most = AHEAD * sum(worker.places for worker in workers)
    ready: dict[int, SynthesisResult] = {}
    running: dict[Future[_Ended], _Places] = {}
    failure: Exception | None = None
    taken = given = 0
    more = True
    with _threads(len(all_places)) as pool:
        while True:
            idle = [places for places in all_places if places not in running.values()]
            while more and taken - given < most and any(places.free for places in idle):
                try:
                    request = next(requests)
                except StopIteration:
                    more = False
                except Exception as error:
                    failure, more = error, False
                else:
                    max(idle, key=lambda places: len(places.free)).begin(taken, request)
                    taken += 1
            for places in idle:
                if places.making and pool:
                    running[pool.submit(places.run)] = places
                elif places.making:
                    ready.update(places.run())
            while given in ready:
                yield ready.pop(given)
                given += 1
            if not more and not running and not any(places.making for places in all_places):
                break
            if running:
                for future in _first_done(running):
                    del running[future]
                    ready.update(future.result())
    if failure is not None:
        raise failure


def make_one(
    worker: Worker, request: SynthesisRequest, first_frames: int
) -> Generator[np.ndarray, None, SynthesisResult]:
    """Make one utterance in the first of a worker's free places, and yield (t,) int16 codes as they are made.

    The first piece has `first_frames` frames; each is up to twice as long as the one before; a silence is a piece of
    its own. Returns (as the value of
    StopIteration) the whole utterance.
    """
    assert first_frames >= 1, first_frames
    worker.begin(0, request)
    utterance, frames, given = Utterance(0, request.silences), first_frames, 0
    while True:
        (piece,) = worker.run(min(frames, worker.block_frames))
        whole = utterance.add(piece)
        yield from utterance.pieces[given:]
        given = len(utterance.pieces)
        if whole:
            return whole
        frames *= 2


# `concurrent.futures` brings `logging` and `queue`. One text needs no threads, so its start does not wait for them.


def _threads(workers: int) -> "AbstractContextManager[ThreadPoolExecutor | None]":
    if workers == 1:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers)


def _first_done(running: "Iterable[Future[_Ended]]") -> "set[Future[_Ended]]":
    from concurrent.futures import FIRST_COMPLETED, wait

    return wait(running, return_when=FIRST_COMPLETED).done
