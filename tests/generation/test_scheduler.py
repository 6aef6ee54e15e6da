"""The scheduler, with workers that make nothing but numbers: order, bounded memory, failures, interruption."""

import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.core.errors import InputError
from tts.generation.interface import ADVANCED, FORCED, Piece, SynthesisRequest
from tts.generation.scheduler import AHEAD, make_each, make_one

FRAME = 2


class CountingWorker:
    """Makes utterances of `max_frames` frames that hold their seed; every third frame ends a segment."""

    def __init__(self, places, block_frames):
        self.places, self.block_frames = places, block_frames
        self.making, self.calls = {}, 0

    def begin(self, place, request):
        assert 0 <= place < self.places
        assert place not in self.making
        self.making[place] = (request, 0)

    def run(self, frames):
        assert 1 <= frames <= self.block_frames
        self.calls += 1
        pieces = []
        for place, (request, made) in list(self.making.items()):
            count = min(frames, request.max_frames - made)
            self.making[place] = (request, made + count)
            place_in_text = np.arange(made, made + count)
            events = np.where(place_in_text % 3 == 2, ADVANCED, 0).astype(np.uint8)
            events[place_in_text % 6 == 5] |= FORCED
            ended = made + count == request.max_frames
            if ended:
                del self.making[place]
            reason = ("stop" if request.seed % 2 else "cap") if ended else None
            pieces.append(Piece(place, np.full(count * FRAME, request.seed, np.int16), events, reason))
        return pieces


def request(seed, frames):
    return SynthesisRequest(np.zeros((1, 1), np.float32), 0, seed, frames, frames)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=3),
)
def test_each_comes_whole_and_in_order(lengths, workers):
    requests = [request(seed, frames) for seed, frames in enumerate(lengths)]
    made = list(make_each([CountingWorker(*worker) for worker in workers], iter(requests)))
    assert len(made) == len(lengths)
    for seed, (one, frames) in enumerate(zip(made, lengths, strict=True)):
        assert one.codes.tolist() == [seed] * frames * FRAME
        assert one.unit_ends == list(range(3 * FRAME, frames * FRAME + 1, 3 * FRAME))
        assert one.forced_advances == frames // 6
        assert one.stop_reason == ("stop" if seed % 2 else "cap")


@given(st.integers(1, 100), st.integers(1, 9), st.integers(1, 9))
def test_one_comes_in_growing_pieces(frames, first, block):
    stream, pieces = make_one(CountingWorker(1, block), request(7, frames), first), []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as stop:
            whole = stop.value
            break
    assert np.concatenate(pieces).tolist() == whole.codes.tolist() == [7] * frames * FRAME
    lengths = [len(piece) // FRAME for piece in pieces]
    assert lengths[:-1] == [min(first * 2**k, block) for k in range(len(pieces) - 1)]


@pytest.mark.parametrize("count", [1, 2])
def test_requests_are_taken_when_there_is_room(count):
    """The first takes long; the others must not pile up behind it."""
    taken = itertools.count()

    def requests():
        for seed, frames in enumerate([400, *[3] * 10_000]):
            next(taken)
            yield request(seed, frames)

    made = make_each([CountingWorker(2, 5) for _ in range(count)], requests())
    assert next(taken) == 0  # nothing is taken before the first result is wanted
    for k in range(50):
        assert next(made).codes[0] == k
        assert next(taken) - 2 - k <= k + AHEAD * 2 * count + 1
    made.close()


def test_a_place_is_used_again_at_once():
    worker = CountingWorker(4, 10)
    list(make_each([worker], iter([request(0, 100), *(request(seed, 10) for seed in range(12))])))
    assert worker.calls == 10  # one place makes the long one, the others twelve short ones meanwhile


@pytest.mark.parametrize("count", [1, 3])
def test_no_thread_is_left(count):
    before = threading.active_count()
    made = make_each([CountingWorker(2, 5) for _ in range(count)], (request(seed, 50) for seed in range(50)))
    next(made)
    assert (threading.active_count() > before) == (count > 1)
    made.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [1, 2])
def test_a_failure_comes_after_what_was_before_it(count):
    def requests():
        yield from (request(seed, 30 - seed) for seed in range(9))
        raise InputError("line 10 is empty")

    made = []
    with pytest.raises(InputError, match="line 10"):
        made.extend(make_each([CountingWorker(2, 5) for _ in range(count)], requests()))
    assert [one.codes[0] for one in made] == list(range(9))
