"""Augmentation of sequences: speed, frequency band, background at a drawn signal-to-noise ratio, gain; in this order.

Everything is drawn from the generator that is passed, so a row depends on its number and the seed only. Letters: T
samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import soxr

from data_recipes.corpus import ACTIVE_RANGE_DB, PEAK_LIMIT, frame_levels
from data_recipes.reading import is_audio, read_recording
from data_recipes.sequences import Sequence
from tts.audio import resample
from tts.core.config import Range, check, check_order
from tts.core.errors import InputError
from tts.core.files import is_folder

Decibel = Annotated[float, Range(-60, 60)]
Speed = Annotated[float, Range(0.5, 2)]
Hertz = Annotated[float, Range(0, 96_000)]
EDGE = 0.1
"""Share of a cutoff frequency over which the band's edge rises or falls."""


@dataclass(frozen=True)
class AugmentOptions:
    """What is drawn for each row of `train`; each pair is a range, drawn uniformly. Recorded in the dataset card.

    background: a folder of audio, a random piece of which is added at `snr_db` under the speech. speed: a factor, which
    changes pitch as well. highpass_hz, lowpass_hz: cutoff frequencies of the band that is left. augment_seed: of all
    draws.
    """

    background: Path | None = None
    snr_db: tuple[Decibel, Decibel] = (5.0, 30.0)
    gain_db: tuple[Decibel, Decibel] = (0.0, 0.0)
    speed: tuple[Speed, Speed] = (1.0, 1.0)
    highpass_hz: tuple[Hertz, Hertz] | None = None
    lowpass_hz: tuple[Hertz, Hertz] | None = None
    augment_seed: Annotated[int, Range(0, 2**32 - 1)] = 0

    def __post_init__(self) -> None:
        """Raises: InputError for a range that is empty or outside what makes sense."""
        check(self)
        pairs = ("snr_db", "gain_db", "speed", "highpass_hz", "lowpass_hz")
        check_order(self, [name for name in pairs if getattr(self, name) is not None])
        if self.highpass_hz and self.lowpass_hz and self.highpass_hz[1] >= self.lowpass_hz[0]:
            raise InputError(f"highpass_hz ends at {self.highpass_hz[1]}, above the begin of lowpass_hz; leave a band")

    @property
    def changes(self) -> bool:
        """Whether anything is done to a row."""
        return replace(self, augment_seed=0, snr_db=(5.0, 30.0)) != AugmentOptions()


def augmenter(options: AugmentOptions, sample_rate: int) -> Callable[[Sequence, int], Sequence]:
    """A function of a row and its number to the row augmented. Raises: InputError without usable background."""
    backgrounds = _backgrounds(options.background, sample_rate) if options.background else []
    return lambda row, number: augment(
        row, options, backgrounds, np.random.default_rng([options.augment_seed, 1, number])
    )


def augment(
    row: Sequence, options: AugmentOptions, backgrounds: list[np.ndarray], rng: np.random.Generator
) -> Sequence:
    """The row augmented: audio (T',) float32, and its boundaries at the same places of the speech."""
    wave, boundaries = row.audio, row.boundaries
    speed = rng.uniform(*options.speed)
    if speed != 1:
        before = len(wave)
        wave = soxr.resample(np.ascontiguousarray(wave), speed, 1.0)
        boundaries = [round(end * len(wave) / before) for end in boundaries]
    cutoffs = [None if pair is None else rng.uniform(*pair) for pair in (options.highpass_hz, options.lowpass_hz)]
    if cutoffs != [None, None]:
        wave = _band(wave, row.sample_rate, *cutoffs)
    snr_db = rng.uniform(*options.snr_db)
    if backgrounds:
        piece = drawn_piece(backgrounds[int(rng.integers(len(backgrounds)))], len(wave), rng)
        levels = frame_levels(wave, row.sample_rate)
        speech = np.mean(10 ** (levels[levels > levels.max() - ACTIVE_RANGE_DB] / 10))
        noise = float(np.mean(piece.astype(np.float64) ** 2))
        if noise > 0:
            wave = wave + piece * np.float32(np.sqrt(speech / noise * 10 ** (-snr_db / 10)))
    wave = wave * np.float32(10 ** (rng.uniform(*options.gain_db) / 20))
    peak = float(np.abs(wave).max(initial=0))
    if peak > PEAK_LIMIT:
        wave = wave * np.float32(PEAK_LIMIT / peak)
    return replace(row, audio=wave.astype(np.float32), boundaries=boundaries)


def _backgrounds(folder: Path, sample_rate: int) -> list[np.ndarray]:
    paths = sorted(path for path in folder.rglob("*") if is_audio(path)) if is_folder(folder) else []
    if not paths:
        raise InputError(f"{folder}: no audio files there; name a folder with recordings of background")
    return [resample(*read_recording(path), sample_rate) for path in paths]


def _band(wave: np.ndarray, sample_rate: int, low: float | None, high: float | None) -> np.ndarray:
    frequency = np.fft.rfftfreq(len(wave), 1 / sample_rate)
    gain = np.ones(len(frequency))
    if low:
        gain *= np.clip((frequency / low - (1 - EDGE)) / EDGE, 0, 1)
    if high:
        gain *= np.clip(((1 + EDGE) - frequency / high) / EDGE, 0, 1)
    filtered: np.ndarray = np.fft.irfft(np.fft.rfft(wave) * gain, len(wave)).astype(np.float32)
    return filtered


def drawn_piece(background: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) of a background (T,), begun at a drawn place; a short one is repeated."""
    start = int(rng.integers(len(background)))
    return np.take(background, np.arange(start, start + count), mode="wrap")
