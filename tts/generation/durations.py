"""Planned timing: every word's duration, drawn before the first sample; the same numbers for every engine.

The hazard of a frame comes from the word, the next one, the speaker and the frames since the word began
(`TwoTier.advance_logits`), and the duration is drawn as everywhere (`request.timing_threshold`), from a stream of
chance of its own: one uniform a word.

Letters: W words, K frames of a word at most.
"""

from collections.abc import Mapping

import numpy as np

from tts.generation.features import clock_features, embed_words, product
from tts.generation.interface import Request, timing_threshold
from tts.models.config import TwoTierConfig

WORDS_AT_A_TIME = 4
FRAMES_AT_A_TIME = 64
"""Most turns end within so many, and the first sample waits for the first turn's length."""


class Planner:
    """Draws durations with a model's weights."""

    def __init__(self, config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> None:
        """`weights` as `checked_weights` gives them; the model's timing is planned."""
        assert config.timing == "planned", config.timing
        self.config, self._weights = config, weights
        table = clock_features(config.clock_frames, config.clock_dim)
        self._clock = product(table, weights["plan_clock.weight"].T)  # (clock_frames, plan_dim)

    def plan(self, request: Request) -> "Plan":
        """The durations of a request's words, drawn as they are asked for."""
        return Plan(self, request)

    def duration(self, told: np.ndarray, frames: int, threshold: float) -> int:
        """Frames until a turn's summed hazard exceeds `threshold`; -`frames` if it does not within them.

        `told` (told_dim,) float32 is what stays the same during the turn.
        """
        w = self._weights
        text = product(told[None], w["plan_text.weight"].T) + w["plan_text.bias"]
        summed = np.zeros(1)
        for begin in range(0, frames, FRAMES_AT_A_TIME):
            places = np.arange(begin, min(begin + FRAMES_AT_A_TIME, frames))
            clock = self._clock[np.minimum(places, len(self._clock) - 1)]
            logits = np.einsum("kp,p->k", np.tanh(text + clock), w["advance.weight"][0], dtype=np.float64)
            hazards = np.logaddexp(0.0, logits + float(w["advance.bias"][0]))
            summed = np.cumsum(np.concatenate([summed[-1:], hazards]))[1:]
            if summed[-1] > threshold:
                return begin + int(np.searchsorted(summed, threshold, side="right")) + 1
        return -frames


class Plan:
    """The durations of one utterance's words."""

    def __init__(self, planner: Planner, request: Request) -> None:
        self._planner, self._request = planner, request
        self._chance = np.random.Generator(np.random.Philox(key=request.seed).jumped())
        self._drawn: list[int] = []

    def __getitem__(self, word: int) -> int:
        """Frames of a word; negative where `max_word_frames` cut it. A word beyond the last one lasts 1 frame."""
        if word >= len(self._request.words):
            return 1
        while len(self._drawn) <= word:
            self._draw(len(self._drawn))
        return self._drawn[word]

    def _draw(self, begin: int) -> None:
        request, planner = self._request, self._planner
        end = min(begin + WORDS_AT_A_TIME, len(request.words))
        embedded = embed_words(planner._weights, request.words[begin : end + 1], ends=end == len(request.words))
        voice = planner._weights["speaker.weight"][request.speaker]
        for k in range(end - begin):
            told = np.concatenate([embedded[k], embedded[k + 1], voice])
            threshold = timing_threshold(self._chance.random(dtype=np.float32), request.sampling.timing_spread)
            self._drawn.append(planner.duration(told, request.max_word_frames, threshold))
