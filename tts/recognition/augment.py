"""Damage for training the recognizer, so that it judges the digits and not the sound they come in.

Generated speech is noisy in its own ways (a sample model draws every sample, so its noise follows the signal's level);
other people's recordings have other rooms, microphones and codecs. Everything here is numpy on one wave at a time.

Letters: T samples. Levels in dB. Every draw comes from the generator given.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import soundfile

from data_recipes.augment import drawn_piece
from data_recipes.corpus import Recording
from tts import audio
from tts.core.config import Range, check, check_order
from tts.core.errors import InputError

BANK_SECONDS = 20.0
CODECS = ("GSM610", "IMA_ADPCM", "ALAW", "MS_ADPCM")  # what libsndfile can put into a WAV at 8 kHz

Probability = Annotated[float, Range(0, 1)]
Decibels = Annotated[float, Range(-60, 60)]
Bits = Annotated[int, Range(1, 8)]
Second = Annotated[float, Range(0, 1)]


@dataclass(frozen=True)
class AugmentOptions:
    """How often (a probability) and how hard a wave is damaged.

    speeds: resampling ratios, one drawn for each recording before it is joined. segment_gain_db: spread between the
    digits of one sequence. snr_db and background_snr_db: against the active speech; noise is white, pink or brown,
    background is babble of other recordings. rough_bits: mu-law codes of so few bits. rough_jitter: Gaussian noise
    in the mu-law domain, where full scale is 1, as a sample model's own noise is. drop_seconds: holes.
    empty: the share of waves that hold no digit at all and for which nothing must be recognized.
    """

    speeds: tuple[Annotated[float, Range(0.25, 4)], ...] = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
    segment_gain: Probability = 0.4
    segment_gain_db: Annotated[float, Range(0, 60)] = 5.0
    filter: Probability = 0.5
    reverb: Probability = 0.2
    background: Probability = 0.2
    background_snr_db: tuple[Decibels, Decibels] = (12.0, 30.0)
    noise: Probability = 0.6
    snr_db: tuple[Decibels, Decibels] = (5.0, 40.0)
    rough: Probability = 0.35
    rough_bits: tuple[Bits, Bits] = (4, 8)
    rough_jitter: tuple[Probability, Probability] = (0.005, 0.08)
    codec: Probability = 0.12
    clip: Probability = 0.12
    drop: Probability = 0.2
    drop_seconds: tuple[Second, Second] = (0.002, 0.03)
    click: Probability = 0.1
    gain_db: tuple[Decibels, Decibels] = (-25.0, 12.0)
    empty: Probability = 0.08

    def __post_init__(self) -> None:
        check(self)
        check_order(self, ("background_snr_db", "snr_db", "rough_bits", "rough_jitter", "drop_seconds", "gain_db"))
        if not 1 <= len(self.speeds) <= 100:
            raise InputError(f"speeds has {len(self.speeds)} items; it must have 1 to 100, e.g. [1.0]")


def at_speeds(recordings: Sequence[Recording], speeds: Sequence[float]) -> list[Recording]:
    """Each recording at each speed (pitch and formants move along), for sequences to be drawn from."""
    rates = [round(8000 * speed) for speed in speeds]
    return [replace(x, audio=audio.resample(x.audio, rate, 8000)) for rate in rates for x in recordings]


def active_rms(wave: np.ndarray) -> float:
    """RMS of the 10 ms frames (at 8 kHz) of wave (T,) within 20 dB of the loudest; 0.0 for silence."""
    frames = wave[: len(wave) // 80 * 80].reshape(-1, 80)
    power = np.mean(frames**2, axis=1)
    if not len(power) or power.max() <= 0:
        return 0.0
    return float(np.sqrt(power[power > power.max() / 100].mean()))


def _shaped(spectrum_slope: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (samples,) float32 of RMS 1 whose power falls by `spectrum_slope` dB an octave above 40 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    octaves = np.log2(np.maximum(np.arange(len(spectrum)) / samples * 8000, 40.0) / 40.0)
    wave = np.fft.irfft(spectrum * 10 ** (-spectrum_slope * octaves / 20), samples)
    return (wave / wave.std()).astype(np.float32)


class Augmenter:
    """Damages sequences joined at 8 kHz. Holds banks of noise and babble made once from the seed."""

    def __init__(self, options: AugmentOptions, recordings: Sequence[Recording], seed: int) -> None:
        self.options = options
        rng = np.random.default_rng([seed, 0])
        self.recordings = list(recordings)
        samples = int(BANK_SECONDS * 8000)
        self.noises = [_shaped(slope, samples, rng) for slope in (0.0, 1.5, 3.0, 6.0)]
        self.babbles = [self._babble(voices, samples, rng) for voices in (2, 4, 8)]

    def _babble(self, voices: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        total = np.zeros(samples, dtype=np.float32)
        for _ in range(voices):
            position = 0
            while position < samples:
                wave = self.recordings[int(rng.integers(len(self.recordings)))].audio
                wave = wave[::-1] if rng.random() < 0.5 else wave
                wave = wave[: samples - position]
                total[position : position + len(wave)] += wave
                position += len(wave) + int(rng.integers(0, 2000))
        return total / active_rms(total)

    def _crop(self, bank: list[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
        return drawn_piece(bank[int(rng.integers(len(bank)))], samples, rng)

    def __call__(self, wave: np.ndarray, boundaries: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        """Damage wave (T,) float32, whose digits' segments end at `boundaries`; returns (T,) float32 in [-1, 1]."""
        options = self.options
        if rng.random() < options.segment_gain:
            gains = 10 ** (rng.uniform(-1, 1, len(boundaries)) * options.segment_gain_db / 20)
            wave = wave * np.repeat(gains, np.diff(boundaries, prepend=0)).astype(np.float32)
        level = max(active_rms(wave), 1e-4)
        reverberant = rng.random() < options.reverb
        if reverberant or rng.random() < options.filter:
            wave = _filter(wave, reverberant, rng)
        if rng.random() < options.background:
            snr = rng.uniform(*options.background_snr_db)
            wave = wave + level * 10 ** (-snr / 20) * self._crop(self.babbles, len(wave), rng)
        if rng.random() < options.noise:
            noise = self._crop(self.noises, len(wave), rng)
            if rng.random() < 0.3:
                noise = noise * _envelope(len(wave), rng)
            wave = wave + level * 10 ** (-rng.uniform(*options.snr_db) / 20) * noise
        return self._spoil(wave.astype(np.float32), rng)

    def _spoil(self, wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What recorders, codecs and sample models do to a wave, whatever is in it."""
        options = self.options
        if rng.random() < options.click:
            places = rng.integers(len(wave), size=int(rng.integers(1, 6)))
            wave = wave.copy()
            wave[places] += rng.uniform(-1, 1, len(places)) * max(float(np.abs(wave).max()), 0.01)
        if rng.random() < options.clip:
            wave = wave * np.float32(10 ** (rng.uniform(6, 18) / 20))
            limit = max(float(np.abs(wave).max()) * rng.uniform(0.15, 0.6), 1e-3)
            wave = np.clip(wave, -limit, limit)
        peak = float(np.abs(wave).max())
        if rng.random() < options.rough and peak > 0:
            # Coarse at the level that speech is generated at, not at whatever level this wave has.
            wave = _rough(wave / max(peak, 0.02) * np.float32(rng.uniform(0.3, 0.95)), options, rng)
        elif rng.random() < options.codec and len(wave) > 1000:
            wave = through_codec(wave / max(peak, 0.02) * np.float32(0.7), CODECS[int(rng.integers(len(CODECS)))])
        if rng.random() < options.drop:
            wave = wave.copy()
            for start in rng.integers(len(wave), size=int(rng.integers(1, 5))):
                wave[start : start + int(rng.uniform(*options.drop_seconds) * 8000)] = 0.0
        gain = 10 ** (rng.uniform(*options.gain_db) / 20)
        return np.clip(wave * gain, -1, 1).astype(np.float32)

    def empty(self, rng: np.random.Generator) -> np.ndarray:
        """A wave (T,) float32 in which there is no digit: silence, noise, hum, noise that swells like speech, or
        speech cut into shreds and reversed."""
        samples = int(rng.uniform(0.2, 3.0) * 8000)
        makers: list[Callable[[], np.ndarray]] = [
            lambda: np.zeros(samples, dtype=np.float32),
            lambda: self._crop(self.noises, samples, rng) * 10 ** rng.uniform(-4, -0.5),
            lambda: self._crop(self.noises, samples, rng) * 0.1 * _envelope(samples, rng),
            lambda: _hum(samples, rng),
            lambda: self._shreds(samples, rng),
        ]
        choice = int(rng.choice(len(makers), p=(0.1, 0.3, 0.2, 0.1, 0.3)))
        wave = makers[choice]().astype(np.float32)
        if choice and rng.random() < 0.5:
            wave = _filter(wave, rng.random() < 0.3, rng)
        return wave if choice == 0 else self._spoil(wave, rng)

    def _shreds(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Reversed pieces of 20 to 60 ms of different recordings, cross-faded: speech's colors without its order."""
        total = np.zeros(samples + 480, dtype=np.float32)
        position = 0
        while position < samples:
            wave = self.recordings[int(rng.integers(len(self.recordings)))].audio
            length = min(int(rng.integers(160, 481)), len(wave))
            start = int(rng.integers(len(wave) - length + 1))
            total[position : position + length] += wave[start : start + length][::-1] * np.hanning(length)
            position += length // 2
        return total[:samples]


def _filter(wave: np.ndarray, reverberant: bool, rng: np.random.Generator) -> np.ndarray:
    """Another microphone, band and, where asked for, room: one multiplication of spectra."""
    tail = 4000 if reverberant else 400
    size = -(-(len(wave) + tail) // 2048) * 2048  # a product of small primes, which the FFT wants
    hertz = np.arange(size // 2 + 1) * (8000 / size)
    knots = np.array([0, 150, 300, 600, 1000, 1600, 2300, 3000, 4000])
    decibels = np.interp(hertz, knots, np.cumsum(rng.normal(0, 2.5, len(knots))))
    low = rng.uniform(20, 400) if rng.random() < 0.6 else 0.0
    high = rng.uniform(2200, 4000) if rng.random() < 0.6 else 4000.0
    decibels -= np.clip((low - hertz) / 100, 0, 1) * 30 + np.clip((hertz - high) / 200, 0, 1) * 30
    response = 10 ** (decibels / 20)
    if reverberant:
        seconds = np.arange(tail) / 8000
        room = rng.standard_normal(tail) * np.exp(-6.9 * seconds / rng.uniform(0.1, 0.5))
        room *= rng.uniform(0.1, 0.8) / np.sqrt(np.sum(room**2))
        room[0] = 1.0
        response = response * np.fft.rfft(room, size)
    before = active_rms(wave)
    result = np.fft.irfft(np.fft.rfft(wave, size) * response, size)[: len(wave)].astype(np.float32)
    after = active_rms(result)
    return result * np.float32(before / after) if after > 0 else result


def _rough(wave: np.ndarray, options: AugmentOptions, rng: np.random.Generator) -> np.ndarray:
    q_levels = 2 ** int(rng.integers(options.rough_bits[0], options.rough_bits[1] + 1))
    codes = audio.encode(wave, 256)
    if rng.random() < 0.6:
        jitter = rng.uniform(*options.rough_jitter) * 127.5
        noise = rng.standard_normal(len(wave), dtype=np.float32) * np.float32(jitter)
        codes = np.clip(codes + noise.round().astype(np.int64), 0, 255)
    step = 256 // q_levels
    return audio.decode(np.clip((codes + step // 2) // step * step, 0, 255), 256)


def through_codec(wave: np.ndarray, codec: str) -> np.ndarray:
    """wave (T,) float32 in [-1, 1] at 8 kHz, encoded and decoded by one of `CODECS`."""
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, 8000, format="WAV", subtype=codec)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    return np.pad(decoded, (0, len(wave)))[: len(wave)]  # codecs work in blocks


def _envelope(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples,) in [0, 1], rising and falling a few times a second as speech does."""
    knots = np.linspace(0, samples, max(2, samples // int(rng.integers(400, 2000))))
    return np.interp(np.arange(samples), knots, rng.uniform(0, 1, len(knots)) ** 2).astype(np.float32)


def _hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """A buzz (samples,): harmonics of one pitch, sometimes gliding, with a drawn slope."""
    pitch = rng.uniform(50, 400) * np.exp(np.linspace(0, rng.normal(0, 0.2), samples))
    phase = np.cumsum(pitch) / 8000
    slope = rng.uniform(0.5, 2.0)
    harmonics = np.arange(1, int(rng.integers(2, 12)))
    wave = sum(np.sin(2 * np.pi * n * phase + rng.uniform(0, 6.28)) * (n * pitch.max() < 4000) / n**slope
               for n in harmonics)  # fmt: skip
    return np.asarray(wave * rng.uniform(0.02, 0.3), dtype=np.float32) + 1e-4 * rng.standard_normal(samples)
