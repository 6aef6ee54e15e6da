"""Explicit durations: the frames of every unit, drawn before the first sample; the same for every engine.

The hazard of a frame comes from the unit, the next one, the speaker and the frames since the segment began
(`TwoTier.advance_logits`). The duration is drawn by the rule of all engines (`interface.duration_threshold`), from an
RNG stream of its own with one uniform a unit.

Letters: U units, K frames.
"""

from collections.abc import Mapping

import numpy as np

from tts.generation.features import clock_features, embed_units, product
from tts.generation.interface import SynthesisRequest, duration_threshold
from tts.models.config import TwoTierConfig

UNITS_AT_A_TIME = 4
FRAMES_AT_A_TIME = 64
"""Most segments end within so many, and the first sample waits for the first duration."""


class DurationSampler:
    """Draws durations with a model's weights."""

    def __init__(self, config: TwoTierConfig, weights: Mapping[str, np.ndarray]) -> None:
        """`weights` as `checked_weights` gives them; the config's `duration` is "explicit".

        All is computed in float64: numpy's tanh and sums differ in their last bit from processor to processor, and in
        float64 they give the same durations everywhere.
        """
        assert config.duration == "explicit", config.duration
        names = ("unit", "end", "speaker", "duration_", "advance")
        self.config = config
        self._weights = {name: w.astype(np.float64) for name, w in weights.items() if name.startswith(names)}
        table = clock_features(config.clock_frames, config.clock_dim)
        clock = product(table.astype(np.float64), self._weights["duration_clock.weight"].T)
        self._clock = _exponential(clock)  # (clock_frames, duration_dim)

    def sample(self, request: SynthesisRequest) -> "Durations":
        """The durations of a request's units, drawn when they are first read."""
        return Durations(self, request)

    def duration(self, context: np.ndarray, frames: int, threshold: float) -> int:
        """The frames of one segment.

        Args:
            context: (context_dim,): what stays the same during a segment: unit, next unit, speaker.
            frames: the cap.
            threshold: of the summed hazard.

        Returns:
            Frames until the summed hazard exceeds the threshold; -`frames` if it does not within them.
        """
        w = self._weights
        # tanh(text + clock) = 1 - 2 / (1 + e^(2 text) e^(2 clock)): a tanh of each pair takes seven times as long.
        text = _exponential(product(context[None], w["duration_text.weight"].T) + w["duration_text.bias"])
        summed = np.zeros(1)
        for begin in range(0, frames, FRAMES_AT_A_TIME):
            places = np.arange(begin, min(begin + FRAMES_AT_A_TIME, frames))
            clock = self._clock[np.minimum(places, len(self._clock) - 1)]
            hidden = 1.0 - 2.0 / (1.0 + text * clock)
            logits = np.einsum("kp,p->k", hidden, w["advance.weight"][0], dtype=np.float64)
            hazards = np.logaddexp(0.0, logits + float(w["advance.bias"][0]))
            summed = np.cumsum(np.concatenate([summed[-1:], hazards]))[1:]
            if summed[-1] > threshold:
                return begin + int(np.searchsorted(summed, threshold, side="right")) + 1
        return -frames


class Durations:
    """The durations of one utterance's units."""

    def __init__(self, duration_sampler: DurationSampler, request: SynthesisRequest) -> None:
        self._duration_sampler, self._request = duration_sampler, request
        self._rng = np.random.Generator(np.random.Philox(key=request.seed).jumped())
        self._drawn: list[int] = []

    def __getitem__(self, unit: int) -> int:
        """Frames of a unit, at the request's speed; negative where `max_unit_frames` cut it. A unit beyond the last one
        lasts 1 frame."""
        if unit >= len(self._request.units):
            return 1
        while len(self._drawn) <= unit:
            self._draw(len(self._drawn))
        return self._drawn[unit]

    def _draw(self, begin: int) -> None:
        request, duration_sampler = self._request, self._duration_sampler
        end = min(begin + UNITS_AT_A_TIME, len(request.units))
        embedded = embed_units(
            duration_sampler._weights, request.units[begin : end + 1], ends=end == len(request.units)
        )
        speaker = duration_sampler._weights["speaker.weight"][request.speaker]
        for k in range(end - begin):
            context = np.concatenate([embedded[k], embedded[k + 1], speaker])
            threshold = duration_threshold(self._rng.random(dtype=np.float32), request.sampling.duration_spread)
            frames = duration_sampler.duration(context, request.max_unit_frames, threshold)
            self._drawn.append(at_speed(frames, request.speed))


def _exponential(x: np.ndarray) -> np.ndarray:
    """e^2x, so that products of two are finite."""
    return np.exp(2 * np.clip(x, -175, 175))


def at_speed(frames: int, speed: float) -> int:
    """A duration, negative where it was cut, divided by the speed: at least one frame; the same bits everywhere."""
    return frames if speed == 1 else max(1, round(abs(frames) / speed)) * (1 if frames > 0 else -1)
