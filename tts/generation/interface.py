"""What every engine is asked, what it answers, and the rules of chance that all engines share.

Letters: T samples, N frames, F = frame_size, W words, Q levels.

All engines draw from the same uniforms by the same two rules, so the same seed gives the same samples in each of them
(up to floating-point ties, which the tests count):

- a level is the first one whose running sum of `exp((logit - max) / temperature)` exceeds u x total;
- a word's turn ends after the first frame where the summed hazard exceeds a threshold that is drawn when the word
  begins (`duration_threshold`).
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from tts.core.errors import InputError
from tts.core.sampling import Sampling

MAX_SEED = 2**64 - 1
LEAST_UNIFORM = np.float32(2**-25)

StopReason = Literal["stop", "cap"]


@dataclass(frozen=True, eq=False)
class SynthesisRequest:
    """One utterance to make."""

    units: np.ndarray
    """(W, word_dim) float32: the word vectors, W at least 1."""
    speaker: int
    """Index of the speaker, 0 … n_speakers - 1."""
    seed: int
    """0 … 2^64 - 1."""
    max_frames: int
    """The cap on the whole utterance, in frames."""
    max_unit_frames: int
    """The cap on one word's turn, in frames; `pooled` conditioning has no words, and heeds `max_frames` alone."""
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed is {self.seed}; it must be an integer from 0 to 2^64 - 1")
        assert self.units.ndim == 2, self.units.shape
        assert len(self.units) >= 1, self.units.shape
        assert self.max_frames >= 1, self.max_frames
        assert self.max_unit_frames >= 1, self.max_unit_frames


@dataclass(frozen=True, eq=False)
class SynthesisResult:
    """One utterance as made."""

    codes: np.ndarray
    """(T,) int16, T a multiple of frame_size."""
    unit_ends: list[int]
    """The sample after each finished word's turn, rising; the last one is T if the utterance stopped by itself."""
    stop_reason: StopReason
    """"stop": the last word's turn ended; "cap": `max_frames` came first."""
    forced_advances: int
    """How many words were ended by `max_unit_frames` instead of by the model."""


class Engine(Protocol):
    """What makes levels of requests; each utterance comes out the same whatever is made beside it."""

    def generate(self, requests: Sequence[SynthesisRequest]) -> list[SynthesisResult]:
        """Make each utterance."""
        ...

    def generate_each(
        self, requests: Iterable[SynthesisRequest], streams: int | None = None
    ) -> Iterator[SynthesisResult]:
        """Make any number of utterances, some at a time, and give them in the order of the requests.

        A request is taken only when there is a place for it, and what is held does not grow with their number. The
        iterator may be left before its end.

        Args:
            requests: taken one by one; an error of theirs goes through.
            streams: how many are made at a time; None: what suits the engine.
        """
        ...

    def stream(self, request: SynthesisRequest) -> Generator[np.ndarray, None, SynthesisResult]:
        """Yield (n,) int16 levels as they are made; what the generator returns is the whole."""
        ...


class Uniforms:
    """The stream of chance behind one utterance: a row of F + 1 uniforms for each frame.

    The first F are for the frame's samples, the last one for the timing of a word that begins there. The rows depend on
    the seed alone, not on how many are asked for at a time.
    """

    def __init__(self, seed: int, frame_size: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed))
        self._width = frame_size + 1

    def rows(self, count: int) -> np.ndarray:
        """The next `count` rows: (count, F + 1) float32 in (0, 1).

        0 itself, one draw in 2^24, would draw any level that has a weight above 0, however small: half a step up.
        """
        rows = self._generator.random((count, self._width), dtype=np.float32)
        return np.maximum(rows, LEAST_UNIFORM, out=rows)


def duration_threshold(uniform: float, duration_spread: float) -> float:
    """The summed hazard at which a word's turn ends, from the timing uniform of the frame where the word begins.

    The hazard of a frame is softplus(advance logit) = -log P(the turn goes on), so the turn ends after the first frame
    where the sum exceeds -log(1 - u): with spread 1 this has exactly the distribution of drawing each frame's bit; with
    a smaller one `u` is pulled towards 1/2, the median of the word's duration, which avoids both words cut short by an
    unlucky early draw and words that drag on.

    Reference: inverse transform sampling of a discrete hazard (Devroye 1986, VI.2).
    """
    pulled = min(0.5 + duration_spread * (float(uniform) - 0.5), 1.0 - 2.0**-24)
    return -math.log1p(-pulled)
