"""Taking the steady noise out of a recording: each bin of the spectrum is scaled by the share of speech in it.

The gain of each bin is Wiener's, the speech's share estimated by the decision-directed rule of Ephraim and Malah
("Speech enhancement using a minimum mean-square error short-time spectral amplitude estimator", IEEE Trans. ASSP 32,
1984, eq. 51; with Wiener's gain: Scalart and Filho 1996), and never below a floor, so that what is left of the noise
stays steady instead of fluctuating. The noise's own spectrum is taken from each bin's quietest frames (as by Martin
2001).

Letters: T samples, N frames, K bins.
"""

import numpy as np

WINDOW_SECONDS = 0.032
HOPS = 4
"""To a window."""
QUIETEST = 0.1
"""The quantile of a bin's power that is taken for the noise's: in speech a bin is quiet for much more of the time."""
SMOOTHING = 0.98
"""How much the speech's share owes to the frame before; less lets the noise fluctuate, more smears onsets."""


def denoise(wave: np.ndarray, sample_rate: int, most_db: float) -> np.ndarray:
    """Wave (T,) float32 with its steady noise lowered by up to `most_db`; as long as before."""
    window = round(WINDOW_SECONDS * sample_rate) // HOPS * HOPS
    hop = window // HOPS
    padded = np.pad(wave, (window, window + -len(wave) % hop), mode="reflect" if len(wave) > 2 * window else "constant")
    shape = np.sqrt(np.hanning(window + 1)[:-1])
    starts = np.arange(0, len(padded) - window + 1, hop)
    spectra = np.fft.rfft(padded[starts[:, None] + np.arange(window)] * shape, axis=1)  # (N, K)
    power = np.abs(spectra) ** 2 + 1e-12
    cleaned = np.fft.irfft(spectra * _gains(power, noise_power(power), 10 ** (-most_db / 20)), window, axis=1) * shape
    total = np.zeros(len(padded))
    for start, frame in zip(starts, cleaned, strict=True):
        total[start : start + window] += frame
    total /= np.sum(shape[::hop] ** 2)
    return total[window : window + len(wave)].astype(np.float32)


def noise_power(power: np.ndarray) -> np.ndarray:
    """(K,) mean power of the noise, from power (N, K) of speech in noise.

    A bin's noise has exponentially distributed power, of which the quantile q lies at -log(1 - q) times the mean. The
    bins are smoothed over their neighbors.
    """
    mean = np.quantile(power, QUIETEST, axis=0) / -np.log1p(-QUIETEST)
    kernel = np.hanning(9)[1:-1]
    padded = np.pad(np.log(mean), 3, mode="edge")
    return np.exp(np.convolve(padded, kernel / kernel.sum(), mode="valid"))


def _gains(power: np.ndarray, noise: np.ndarray, floor: float) -> np.ndarray:
    gains = np.empty_like(power)
    speech = np.maximum(power[0] / noise - 1, 0)
    for n, frame in enumerate(power):
        posterior = np.minimum(frame / noise, 1e4)
        prior = SMOOTHING * speech + (1 - SMOOTHING) * np.maximum(posterior - 1, 0)
        gains[n] = np.maximum(prior / (1 + prior), floor)
        speech = gains[n] ** 2 * posterior
    return gains
