"""What the softmax says: the predicted distribution of every sample, its modes, its distance from a Gaussian.

A softmax over codes may have any shape. If the shapes were Gaussian, two numbers a sample would do. Both questions have
two answers, as codes are companded: a Gaussian over wave values that is wide has two modes over mu-law codes, because
the codes near zero are narrow. Letters: T samples, Q codes, U units, N frames, F frame_size.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data_recipes.corpus import FRAME_SECONDS, RecordingOptions, frame_levels, prepare
from tts import audio
from tts.core.errors import InputError
from tts.models.two_tier import TwoTier
from tts.recognition.model import Recognizer
from tts.text.normalize import SPOKEN
from tts.text.units import UnitName, syllables, unit_ends, unit_names, unit_vectors
from tts.training.batches import segment_ends
from tts.voice import Audio, Voice

VALLEY, DEEP_VALLEY = 0.2, 0.5
"""A distribution counts as unimodal if no valley between two of its peaks is deeper below the lower one than the first
share of its highest probability: a softmax of hundreds of codes always has wiggles. A valley deeper than the second
share parts two clear modes."""
AT_ONCE = 4096
HALVINGS = 20
QUIET_DB = 6.0
PLACE_SECONDS = 0.02  # of a frame of the recognizer


@dataclass(frozen=True)
class Prediction:
    """The distributions over a clip, teacher-forced: that of each sample given all samples before it."""

    title: str
    probabilities: Tensor
    """(T, Q) float32."""
    codes: np.ndarray
    """(T,): the clip."""
    units: np.ndarray
    """(T,): the index of each sample's unit in `names`."""
    names: list[tuple[int, UnitName]]
    """Of each unit, the index of its word and what it is."""
    words: list[str]
    sample_rate: int
    wave_values: np.ndarray
    """(Q,): the wave value of each code."""

    @cached_property
    def shape(self) -> "Shape":
        """The measures of every distribution."""
        return measure(self.probabilities, self.wave_values)


@dataclass(frozen=True)
class Shape:
    """Measures of T distributions, each (T,) float64."""

    valley: np.ndarray
    """Depth of the deepest valley between two peaks, below the lower one, as a share of the highest probability."""
    valley_wave: np.ndarray
    """The same of the density over wave values: the probability of a code over its width."""
    kl_codes: np.ndarray
    """Bits: divergence from the Gaussian over codes (companded where they are) of the same mean and variance."""
    kl_wave: np.ndarray
    """Bits: the same over wave values."""
    entropy: np.ndarray
    """Bits."""

    @property
    def unimodal(self) -> np.ndarray:
        """(T,) bool: over codes."""
        return self.valley <= VALLEY

    def summary(self, chosen: np.ndarray | slice = slice(None)) -> dict[str, float]:
        """Means over the chosen distributions; `unimodal`, `two_modes` and `unimodal_wave` are
        shares."""
        return {
            "unimodal": float(self.unimodal[chosen].mean()),
            "two_modes": float((self.valley[chosen] > DEEP_VALLEY).mean()),
            "unimodal_wave": float((self.valley_wave[chosen] <= VALLEY).mean()),
            "kl_codes": float(self.kl_codes[chosen].mean()),
            "kl_codes_median": float(np.median(self.kl_codes[chosen])),
            "kl_wave": float(self.kl_wave[chosen].mean()),
            "entropy": float(self.entropy[chosen].mean()),
        }


def measure(probabilities: Tensor, wave_values: np.ndarray) -> Shape:
    """The shape of distributions (T, Q); `wave_values` (Q,) are those of the codes, rising."""
    parts = []
    codes = torch.arange(probabilities.shape[1], dtype=torch.float64)
    wave = torch.from_numpy(np.asarray(wave_values, np.float64))
    for p in probabilities.split(AT_ONCE):
        p = p.double()
        p = p / p.sum(1, keepdim=True)
        entropy = -torch.xlogy(p, p).sum(1) / np.log(2)
        valleys = valley(p), valley(p / _intervals(wave)[1])
        parts.append(torch.stack([*valleys, gaussian_kl(p, codes), gaussian_kl(p, wave), entropy]))
    return Shape(*torch.cat(parts, dim=1).numpy())


def valley(p: Tensor) -> Tensor:
    """(T, Q) to (T,): see `Shape.valley`."""
    rim = torch.minimum(p.cummax(1).values, p.flip(1).cummax(1).values.flip(1))
    return (rim - p).amax(1) / p.amax(1)


def gaussian(p: Tensor, values: Tensor) -> Tensor:
    """Log-probabilities (T, Q) of discretized Gaussians with the means and variances of p (T, Q) float64.

    values: (Q,) float64, rising. A code has what lies between the middles to its neighbors; the two outer ones have the
    tails.
    """
    middles, widths = _intervals(values)
    mean = (p @ values)[:, None]
    variance = (p * (values - mean) ** 2).sum(1, keepdim=True)
    rounding = (p @ (widths**2 / 12))[:, None]  # what the intervals add to a wide Gaussian's variance (Sheppard)
    deviation = (variance - rounding).clamp(min=1e-12).sqrt()
    narrow = (variance < 12 * rounding).flatten()
    if narrow.any():
        own = mean[narrow], variance[narrow]
        deviation[narrow] = _deviation_of_narrow(*own, rounding[narrow].sqrt(), values, middles)
    return _discretized(mean, deviation, middles)


def _intervals(values: Tensor) -> tuple[Tensor, Tensor]:
    """The middles between rising values (Q,): (Q - 1,), and the width that each value has: (Q,)."""
    middles = (values[1:] + values[:-1]) / 2
    return middles, torch.diff(middles, prepend=2 * values[:1] - middles[:1], append=2 * values[-1:] - middles[-1:])


def _deviation_of_narrow(mean: Tensor, variance: Tensor, scale: Tensor, values: Tensor, middles: Tensor) -> Tensor:
    """(T, 1): by bisection, the deviation of the Gaussian whose discretized form has this variance."""
    low, high = (scale * 0.05).log(), (variance.sqrt() * 2 + scale).log()
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        q = _discretized(mean, middle.exp(), middles).exp()
        center = (q * values).sum(1, keepdim=True)
        wide = (q * (values - center) ** 2).sum(1, keepdim=True) > variance
        low, high = torch.where(wide, low, middle), torch.where(wide, middle, high)
    return ((low + high) / 2).exp()


def _discretized(mean: Tensor, deviation: Tensor, middles: Tensor) -> Tensor:
    """Log-probabilities (T, Q) of Gaussians, mean and deviation (T, 1), cut at (Q - 1,) middles."""
    edges = functional.pad((middles - mean) / deviation, (1, 1), value=torch.inf)
    low, high = edges[:, :-1].clone(), edges[:, 1:]
    low[:, 0] = -torch.inf
    # What lies above the mean is computed in the other tail, where differences of small numbers are exact.
    above = low > 0
    low, high = torch.where(above, -high, low), torch.where(above, -low, high)
    upper, lower = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return upper + torch.log1p(-torch.exp(lower - upper).clamp(max=1.0))


def gaussian_kl(p: Tensor, values: Tensor) -> Tensor:
    """(T,): the Kullback-Leibler divergence in bits of p (T, Q) float64 from its `gaussian`.

    It is what a head that gives a mean and a variance would lose with the same mean and variance.
    """
    terms = torch.where(p > 0, p * (p.clamp(min=1e-300).log() - gaussian(p, values)), 0.0)
    return terms.sum(1) / np.log(2)


class Predictor:
    """A voice's model, teacher-forced on recordings and on what the voice itself said."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.model: TwoTier = voice.model()

    def spoken(self, said: Audio) -> Prediction:
        """The distributions that the codes of an utterance were drawn from, at temperature 1."""
        ends = [segment.end for segment in said.segments]
        return self._predict("the voice", said.codes.astype(np.int64), said.words, ends, said.speaker)

    def recorded(self, wave: np.ndarray, words: Sequence[str], boundaries: Sequence[int], speaker: str) -> Prediction:
        """Of a recording, (T,) float32 at the voice's rate, with the end sample of each word's segment."""
        model = self.voice.config.model
        codes = model.coding.encode(wave)
        ends = list(boundaries)
        if model.units_per_word > 1:
            ends = unit_ends(wave, boundaries, self.voice.sample_rate, syllables(words))
        return self._predict("the recording", codes, list(words), ends, speaker)

    @torch.inference_mode()
    def _predict(self, title: str, codes: np.ndarray, words: list[str], ends: list[int], speaker: str) -> Prediction:
        voice, model = self.voice, self.voice.config.model
        F, T = model.frame_size, len(codes)
        N = -(-T // F)
        counts = syllables(words)
        names = unit_names(counts, model.units_per_word)
        if len(ends) < len(names) and (not ends or ends[-1] < T):  # it was cut inside a unit
            ends = [*ends, T]
        pointer = torch.from_numpy(np.searchsorted(segment_ends(ends, N, F), np.arange(N), side="right"))[None]
        units = unit_vectors(voice.word_vectors(words), model.units_per_word, counts)
        padded = np.full(N * F, model.q_levels // 2)
        padded[:T] = codes
        output = self.model(
            torch.from_numpy(padded)[None],
            torch.from_numpy(units)[None],
            torch.tensor([len(units)]),
            pointer,
            torch.tensor([voice.config.speaker_index(speaker)]),
        )
        return Prediction(
            title=title,
            probabilities=output.logits[0].flatten(0, 1)[:T].softmax(-1),
            codes=codes,
            units=pointer[0].repeat_interleave(F)[:T].numpy(),
            names=names,
            words=words,
            sample_rate=voice.sample_rate,
            wave_values=audio.decode_table(model.q_levels, model.quantization),
        )


def prepared_recording(path: str, words: Sequence[str], sample_rate: int) -> tuple[np.ndarray, list[int]]:
    """A file with these words, prepared as recordings are for training: (T,) float32, and the end sample of each word.

    Of several words, which must be digits, the recognizer finds the places; a word's segment ends with the quietest
    time before the next one.

    Raises: InputError for a file that cannot be read or is silent, or in which other digits are recognized.
    """
    wave, rate = audio.read(path)
    ready = prepare(audio.resample(wave, rate, sample_rate), RecordingOptions(sample_rate=sample_rate))
    if ready is None:
        raise InputError(f"{path}: holds only silence; give a recording of the text")
    if len(words) == 1:
        return ready, [len(ready)]
    found = [place for _, places in Recognizer.load().locate([ready], sample_rate) for place in places]
    if [place.digit for place in found] != [SPOKEN.get(word) for word in words]:
        read = " ".join(str(place.digit) for place in found) or "nothing"
        raise InputError(f"{path}: is recognized as {read}, not as {' '.join(words)}; give a recording of the text")
    ends = []
    for one, other in itertools.pairwise(found):
        first, last = (round(frame * PLACE_SECONDS * sample_rate) for frame in (one.end, other.start))
        levels = frame_levels(ready[first:last], sample_rate)
        quiet = int(np.flatnonzero(levels <= levels.min() + QUIET_DB)[-1]) + 1
        ends.append(first + min(quiet * round(FRAME_SECONDS * sample_rate), last - first))
    return ready, [*ends, len(ready)]
