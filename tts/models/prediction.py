"""Backward-adaptive linear prediction: what the sample tier's distribution is centered on.

Before each frame of F samples, the past alone gives (nothing is transmitted or learned, as in G.728's LD-CELP coder):

- a linear predictor of order P, from the windowed last W samples (autocorrelation method, Levinson-Durbin recursion);
- the scale: the RMS of its prediction error;
- the pitch lag: where the residuals of the last V samples correlate most with those one lag before.

In the frame, p[t] = sum_k a[k] x[t - 1 - k] predicts each sample, and r[t] = x[t] - p[t] is its residual. The sample
tier has as inputs the residuals just before t and around one lag before t, divided by the scale.

References: ITU-T G.728 (1992), section 3.3, for prediction from past output; Valin & Skoglund 2019, "LPCNet",
arXiv 1810.11846, for a sample network that predicts what linear prediction leaves; Salimans et al. 2017, "PixelCNN++",
arXiv 1701.05517, section 2.1, for the mixture of discretized logistics.

Letters: B batch, T samples, N frames, F frame_size, P lpc_order, W lpc_window, V pitch_window, K components,
J inputs (residuals).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tts.models.config import TwoTierConfig

LEAST_SCALE = 3e-4
"""The scale in silence: the RMS of training's dither, and a step of 8-bit mu-law there."""
WHITE_NOISE, NOISE_FLOOR = 3e-4, 1e-7
"""Added to the autocorrelation at lag 0: a share of it (-35 dB), and an absolute power per sample."""
STEPS = 2.0**16
"""Correlations are rounded to so many steps, so that the lag does not depend on the order of a sum."""
LARGEST_RESIDUAL = 8.0
"""In units of the scale; what is larger is clipped as an input."""
LOG_SCALES = (-7.0, 4.0)
"""Range of a component's log scale, in units of the scale."""
FEATURES = 3
"""Of the analysis, as inputs of the frame tier: see `Analysis.features`."""


class Analysis(NamedTuple):
    """What the past says before each frame. All float64 but `lag`."""

    coefficients: Tensor
    """(…, P): a[k] multiplies the sample k + 1 before."""
    scale: Tensor
    """(…), at least LEAST_SCALE."""
    lag: Tensor
    """(…) int64, in samples."""
    correlation: Tensor
    """(…), -1 to 1: at the lag."""

    def features(self, config: TwoTierConfig) -> Tensor:
        """(…, FEATURES) float32, about -1 to 1: logarithm of the scale, correlation, logarithm of the lag."""
        low, high = config.pitch_lags
        loudness = (self.scale.log() + 4.0) / 4.2
        pitch = (self.lag.double() / math.sqrt(low * high)).log2() * 0.7
        return torch.stack([loudness, self.correlation, pitch], -1).float()


class Mixture(NamedTuple):
    """K logistic distributions of a sample's value, each (…, K) float32."""

    log_weights: Tensor
    locations: Tensor
    log_scales: Tensor


class Prediction(NamedTuple):
    """Of whole sequences."""

    center: Tensor
    """(B, T) float64: p."""
    residual: Tensor
    """(B, T) float64: r."""
    analysis: Analysis
    """(B, N)."""


def window(size: int) -> Tensor:
    """(size,) float64: half a sine over seven eighths, and a quarter of a cosine down to the newest sample."""
    falling = size // 8
    rise = math.pi * (torch.arange(size - falling, dtype=torch.float64) + 0.5) / (2 * (size - falling))
    fall = math.pi * (torch.arange(falling, dtype=torch.float64) + 0.5) / (2 * max(falling, 1))
    return torch.cat([rise.sin(), fall.cos()])


def linear_predictor(past: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Coefficients (…, P) and scale (…) from the last W samples (…, W) float64."""
    size = past.shape[-1]
    windowed = past * window(size).to(past.device)
    r = _correlate(windowed, windowed, order + 1)
    power = 0.5 * size  # of the window
    r = torch.cat([r[..., :1] * (1 + WHITE_NOISE) + NOISE_FLOOR * power, r[..., 1:]], -1)
    error = r[..., 0]
    a = r[..., :0]
    for k in range(order):  # Levinson-Durbin
        reflection = (r[..., k + 1] - (a * r[..., 1 : k + 1].flip(-1)).sum(-1)) / error
        a = torch.cat([a - reflection[..., None] * a.flip(-1), reflection[..., None]], -1)
        error = error * (1 - reflection * reflection)
    return a, (error.clamp(min=0) / power).sqrt().clamp(min=LEAST_SCALE)


def pitch(residual: Tensor, lags: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Lag (…) int64 and correlation (…) from residuals (…, V + the longest lag) float64, the newest last."""
    low, high = lags
    newest = residual[..., high:]
    size = newest.shape[-1]
    cross = _correlate(newest, residual, high - low + 1).flip(-1)  # of lags from `low` on
    squares = functional.pad((residual * residual).cumsum(-1), (1, 0))
    begins = high - torch.arange(low, high + 1, device=residual.device)
    before = squares[..., begins + size] - squares[..., begins]
    now = squares[..., high + size] - squares[..., high]
    correlation = cross / ((before.clamp(min=0) * now[..., None]).sqrt() + size * LEAST_SCALE**2)
    steps = (correlation * STEPS).round()
    place = (steps * (high + 1) - torch.arange(high - low + 1, device=residual.device)).argmax(-1)  # the shortest wins
    return place + low, steps.gather(-1, place[..., None])[..., 0] / STEPS


def predict(wave: Tensor, config: TwoTierConfig) -> Prediction:
    """The prediction of whole sequences, (B, T) float64 in [-1, 1], silence before them; T a multiple of F."""
    c = config
    B, T = wave.shape
    F, N = c.frame_size, T // c.frame_size

    def before(x: Tensor, size: int) -> Tensor:
        """(B, N, size): the samples before each frame."""
        return functional.pad(x, (size, 0))[:, : T + size - F].unfold(1, size, F)

    coefficients, scale = linear_predictor(before(wave, c.lpc_window), c.lpc_order)
    history = functional.pad(wave, (c.lpc_order, 0))[:, :-1].unfold(1, c.lpc_order, 1).view(B, N, F, -1)
    center = (history @ coefficients.flip(-1)[..., None]).view(B, T)
    residual = wave - center
    lag, correlation = pitch(before(residual, c.pitch_window + c.pitch_lags[1]), c.pitch_lags)
    return Prediction(center, residual, Analysis(coefficients, scale, lag, correlation))


def analyze(past: Tensor, residual: Tensor, config: TwoTierConfig) -> Analysis:
    """Of the last W samples (…, W) and the last V + longest lag residuals, both float64."""
    return Analysis(*linear_predictor(past, config.lpc_order), *pitch(residual, config.pitch_lags))


def past_residuals(config: TwoTierConfig) -> int:
    """How many residuals before a frame are needed."""
    longest = config.pitch_lags[1]
    return max(config.residual_taps, longest + max(config.pitch_taps, config.pitch_window))


def residual_inputs(residual: Tensor, scale: Tensor, lag: Tensor, t: Tensor, config: TwoTierConfig) -> Tensor:
    """The sample tier's residuals of samples, each divided by its frame's scale and clipped.

    Args:
        residual: (L, R) float64, pieces that hold what is before the samples.
        scale, lag: (L,), of the samples' frame.
        t: (L, n) int64, the places of the samples in their piece.

    Returns:
        (L, n, J) float32: r[t - 1], r[t - 2] … (`residual_taps`), then around r[t - lag], the oldest first.
    """
    c, t, device = config, t[..., None], residual.device
    recent = t - 1 - torch.arange(c.residual_taps, device=device)
    periodic = t - lag[:, None, None] + torch.arange(-c.pitch_taps, c.pitch_taps + 1, device=device)
    places = torch.cat([recent, periodic], -1)
    values = residual.gather(1, places.flatten(1)).view(places.shape)
    return (values / scale[:, None, None]).clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL).float()


def mixture(outputs: Tensor, center: Tensor, scale: Tensor) -> Mixture:
    """The sample tier's outputs (…, 3 K) as distributions around the centers (…), in units of the scale (…)."""
    log_weights, places, log_scales = outputs.unflatten(-1, (3, -1)).unbind(-2)
    scale = scale.float()[..., None]
    locations = center.float()[..., None] + scale * places
    return Mixture(log_weights.log_softmax(-1), locations, log_scales.clamp(*LOG_SCALES) + scale.log())


def log_probability(of: Mixture, low: Tensor, high: Tensor) -> Tensor:
    """Natural logarithm of the probability of a value between two edges (…) float32: (…)."""
    inverse = (-of.log_scales).exp()
    a = (low[..., None] - of.locations) * inverse
    b = (high[..., None] - of.locations) * inverse
    flip = a + b > 0  # to the side where the difference of two sigmoids is exact
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    lower, upper = functional.logsigmoid(a), functional.logsigmoid(b)
    log_difference = upper + torch.log(-torch.expm1((lower - upper).clamp(max=-1e-6)))
    return torch.logsumexp(of.log_weights + log_difference, -1)


def draw(of: Mixture, uniforms: Tensor, temperature: Tensor, edges: Tensor) -> Tensor:
    """The code that each uniform stands for: (…, K), (…), (…) and the edges between codes (Q - 1,) to (…) int64.

    A uniform chooses the component, and what is left of it the value in there. The temperature multiplies the scales
    and divides the log weights.
    """
    weights = ((of.log_weights - of.log_weights.amax(-1, keepdim=True)) / temperature.float()[..., None]).exp()
    running = weights.cumsum(-1)
    target = uniforms * running[..., -1]
    k = (running <= target[..., None]).sum(-1, keepdim=True).clamp(max=weights.shape[-1] - 1)
    weight = weights.gather(-1, k)[..., 0]
    inside = (target - (running.gather(-1, k)[..., 0] - weight)).double() / weight.double()
    inside = inside.clamp(2.0**-26, 1 - 2.0**-26)
    location, log_scale = of.locations.gather(-1, k)[..., 0], of.log_scales.gather(-1, k)[..., 0]
    value = location.double() + temperature.double() * log_scale.exp().double() * (inside / (1 - inside)).log()
    return torch.searchsorted(edges.double(), value, right=True)


def _correlate(x: Tensor, y: Tensor, lags: int) -> Tensor:
    """sum_t x[t] y[t + m] for m = 0 … lags - 1, (…, lags); y may be longer than x, and is zero after its end."""
    size = 1 << (max(x.shape[-1] + lags, y.shape[-1]) - 1).bit_length()
    spectrum = torch.fft.rfft(x, size).conj() * torch.fft.rfft(y, size)
    return torch.fft.irfft(spectrum, size)[..., :lags]
