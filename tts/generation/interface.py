"""What an engine gets and returns, and the random numbers that all engines draw from.

All engines draw from the same uniforms by the same two rules, so the same seed gives the same samples in each of them
(up to floating-point ties, which the tests count):

- a code is the first one whose running sum of `exp((logit - max) / temperature)` exceeds u x total,
  temperature being that of the unit (`SynthesisRequest.temperatures`);
- a segment ends after the first frame where the summed hazard exceeds a threshold that is drawn when the segment begins
  (`duration_threshold`).

Letters: T samples, N frames, F = frame_size, U units, Q levels.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np

from tts.core.errors import InputError
from tts.core.sampling import Sampling

MAX_SEED = 2**64 - 1
LEAST_UNIFORM = np.float32(2**-25)

StopReason = Literal["stop", "cap"]

ADVANCED, FORCED = 1, 2
"""What `Piece.events` says of a frame: a segment ended after it; it did so at its cap."""


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """One utterance to make. Compared by identity."""

    units: np.ndarray
    """(U, word_dim) float32, U at least 1: a vector per unit, from `tts.text.units.unit_vectors`."""
    speaker: int
    """Index of the speaker, 0 … n_speakers - 1."""
    seed: int
    """0 … 2^64 - 1: the same request with the same seed gives the same samples."""
    max_frames: int
    """The cap on the whole utterance, in frames, at least 1."""
    max_unit_frames: int
    """The cap on one segment, in frames, at least 1; `pooled` conditioning has no segments, and `max_frames` alone."""
    sampling: Sampling = field(default_factory=Sampling)
    """Temperatures and duration spread."""
    nuclei: Sequence[int] = ()
    """The indices of the units that are nuclei, from `tts.text.units.nuclei`."""
    speed: float = 1.0
    """Explicit durations are divided by it, their caps too; 1 leaves them as they are drawn."""
    silences: Mapping[int, np.ndarray] = field(default_factory=dict)
    """(n,) int16 codes that are inserted after a unit's segment, by the unit's index; -1: before the first one."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed is {self.seed}; it must be an integer from 0 to 2^64 - 1")
        assert self.units.ndim == 2, self.units.shape
        assert len(self.units) >= 1, self.units.shape
        assert self.max_frames >= 1, self.max_frames
        assert self.max_unit_frames >= 1, self.max_unit_frames
        assert 0 < self.speed < math.inf, self.speed

    def temperatures(self) -> np.ndarray:
        """(U,) float64: at which the samples of each unit's segment are drawn."""
        found = np.full(len(self.units), self.sampling.temperature, np.float64)
        found[list(self.nuclei)] *= self.sampling.nucleus_temperature
        return found


def pooled(request: SynthesisRequest) -> SynthesisRequest:
    """The request with one unit, the mean of all: what a model with `conditioning: pooled` is given."""
    mean = request.units.mean(0, keepdims=True, dtype=np.float64).astype(np.float32)
    return replace(request, units=mean, max_unit_frames=request.max_frames + 1, nuclei=())


@dataclass(frozen=True, eq=False)
class SynthesisResult:
    """One utterance as made. Compared by identity."""

    codes: np.ndarray
    """(T,) int16, 0 … Q - 1; without silences T is a multiple of F, at most `max_frames` x F."""
    unit_ends: list[int]
    """The sample after each finished segment and its silence, rising: U, the last of them T, after a "stop"; fewer
    after a "cap"."""
    stop_reason: StopReason
    """"stop": the last segment ended; "cap": `max_frames` came first."""
    forced_advances: int
    """How many segments were ended by `max_unit_frames` instead of by the model."""


class Piece(NamedTuple):
    """What one call of `Worker.run` made in one place."""

    place: int
    codes: np.ndarray
    """(N x F,) int16, N at least 1; a copy, for the caller to keep."""
    events: np.ndarray
    """(N,) uint8: `ADVANCED`, `ADVANCED | FORCED` or 0 for each frame."""
    stop_reason: StopReason | None
    """As `SynthesisResult.stop_reason`, and the place is free again; None: the utterance has not ended."""


class Worker(Protocol):
    """Makes several utterances side by side, each in a place of its own."""

    @property
    def places(self) -> int:
        """How many, at least 1."""
        ...

    @property
    def block_frames(self) -> int:
        """The most frames of a call of `run`."""
        ...

    def begin(self, place: int, request: SynthesisRequest) -> None:
        """Start an utterance in a free place, 0 … `places` - 1."""
        ...

    def leave(self, place: int) -> None:
        """Stop the utterance in a place, which is free again."""
        ...

    def run(self, frames: int) -> list[Piece]:
        """Make so many frames, or as many as are left, in each place that is in use; a piece for each of these."""
        ...


class Engine(Protocol):
    """Makes codes of requests. What it makes for a request does not depend on the requests beside it."""

    def generate(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisResult]:
        """Make each utterance; the results are in the order of the requests."""
        ...

    def generate_each(
        self, requests: Iterable[SynthesisRequest], streams: int | None = None
    ) -> Iterator[SynthesisResult]:
        """Make any number of utterances, some at a time.

        A request is taken only when there is a place for it, and what is held does not grow with their number. The
        iterator may be left before its end.

        Args:
            requests: taken one by one; an error that they raise is raised here, after the results before it.
            streams: how many are made at a time; None: what suits the engine.

        Returns:
            The results, in the order of the requests.
        """
        ...

    def worker(self, places: int) -> Worker:
        """Places for utterances that one thread makes together, each of which may begin and be left at any time."""
        ...

    def stream(self, request: SynthesisRequest, first_frames: int) -> Generator[np.ndarray, None, SynthesisResult]:
        """Make one utterance: yields (n,) int16 codes as they are made, `first_frames` first; returns the whole."""
        ...


class Uniforms:
    """The RNG stream of one utterance: a row of F + 1 uniforms for each frame.

    The first F are for the frame's samples, the last one for the duration of a segment that begins there. The rows
    depend on the seed alone, not on how many are drawn at a time.
    """

    def __init__(self, seed: int, frame_size: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed))
        self._width = frame_size + 1

    def rows(self, count: int) -> np.ndarray:
        """The next `count` rows: (count, F + 1) float32 in (0, 1).

        0 itself, one uniform in 2^24, would draw any code with a weight above 0, however small, so it is half a step.
        """
        rows = self._generator.random((count, self._width), dtype=np.float32)
        return np.maximum(rows, LEAST_UNIFORM, out=rows)


def duration_threshold(uniform: float, duration_spread: float) -> float:
    """The summed hazard at which a segment ends, from the last uniform of the frame where it begins.

    The hazard of a frame is softplus(advance logit) = -log P(advance bit is 0), so the segment ends after the first
    frame where the sum exceeds -log(1 - u). With spread 1 this has exactly the distribution of drawing each frame's
    bit; a smaller one moves `u` towards 1/2, the median of the duration, which avoids segments much shorter or longer
    than usual.

    Reference: inverse transform sampling of a discrete hazard (Devroye 1986, VI.2).
    """
    pulled = min(0.5 + duration_spread * (float(uniform) - 0.5), 1.0 - 2.0**-24)
    return -math.log1p(-pulled)
