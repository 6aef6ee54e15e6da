"""Measures of generated waves. Letters: T samples, N frames."""

import numpy as np

FRAME_SECONDS = 0.032
FLOOR_DB = -80.0
"""Of a spectrum, below full scale: what lies under it is not compared."""


def spectra(wave: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power spectra of a wave (T,) in dB below a full-scale sine: (N, bins), Hann windows, half overlapping."""
    size = int(FRAME_SECONDS * sample_rate)
    window = np.hanning(size)
    starts = np.arange(0, max(1, len(wave) - size + 1), size // 2)
    padded = np.pad(wave.astype(np.float64), (0, max(0, size - len(wave))))
    frames = np.stack([padded[start : start + size] for start in starts]) * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / (window.sum() / 2) ** 2
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10)))


def spectral_distance(wave: np.ndarray, reference: np.ndarray, sample_rate: int) -> float:
    """Log-spectral distance in dB: root mean square over bins, mean over frames; waves of one length, (T,)."""
    difference = spectra(wave, sample_rate) - spectra(reference, sample_rate)
    return float(np.sqrt((difference**2).mean(axis=1)).mean())


def aligned(wave: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The cyclic shift of a wave (T,) that correlates best with a reference (T,)."""
    product = np.fft.irfft(np.fft.rfft(reference) * np.fft.rfft(wave).conj(), len(wave))
    return np.roll(wave, int(np.argmax(product)))


def snr_db(wave: np.ndarray, reference: np.ndarray) -> float:
    """Power of the reference over that of the difference, in dB."""
    error = np.mean((wave.astype(np.float64) - reference) ** 2)
    return float(10 * np.log10(np.mean(reference.astype(np.float64) ** 2) / max(error, 1e-12)))


def whine(wave: np.ndarray, sample_rate: int, share: float = 0.1) -> dict[str, float]:
    """The steadiest spectral line of a wave's silence, which is the quietest tenth of its frames.

    Returns: whine_dbfs, the highest over bins of the median over silent frames, so of a line that lasts; whine_db, how
        far it stands above the median bin; whine_hz, where. Bins under 100 Hz are left out: they hold what DC leaks.
    """
    spectrum = spectra(wave - wave.mean(), sample_rate)
    frequencies = np.fft.rfftfreq(int(FRAME_SECONDS * sample_rate), 1 / sample_rate)
    spectrum, frequencies = spectrum[:, frequencies >= 100], frequencies[frequencies >= 100]
    level = (10 ** (spectrum / 10)).sum(axis=1)
    silent = np.argsort(level, kind="stable")[: max(3, int(share * len(level)))]
    line = np.median(spectrum[silent], axis=0)
    place = int(line.argmax())
    return {
        "whine_dbfs": float(line[place]),
        "whine_db": float(line[place] - np.median(line)),
        "whine_hz": float(frequencies[place]),
    }
