"""Predicted distributions over time as a picture and as a video. Letters: T samples, Q codes."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tts.core.errors import InputError
from tts.core.plots import png
from tts.evaluation.softmax import Prediction, gaussian

COLUMNS = 800
"""Most distributions that are drawn side by side."""
CLOSE_SECONDS = 0.02
SMOOTH_SECONDS = 0.01
DARKEST = -5.0  # decades
SAID, FIT, BARS = "#58a6ff", "#d97706", "#6e7781"
VIDEO_INCHES, VIDEO_DPI = (9.6, 5.4), 100


def picture(predictions: Sequence[Prediction]) -> bytes:
    """PNG: a column for each clip; the whole of it, 20 ms around its loudest moment, and the measures over time."""
    figure = Figure(figsize=(7.0 * len(predictions), 9.0), layout="constrained")
    axes = figure.subplots(3, len(predictions), squeeze=False)
    for prediction, (whole, close, measures) in zip(predictions, axes.T, strict=True):
        T = len(prediction.codes)
        image = _distributions(whole, prediction, 0, T)
        _mark_units(whole, prediction)
        whole.set_title(_title(prediction), fontsize=9, pad=14)
        half = round(CLOSE_SECONDS * prediction.sample_rate / 2)
        first = max(0, min(loudest(prediction) - half, T - 2 * half))
        _distributions(close, prediction, first, min(T, first + 2 * half))
        close.set_title("around the loudest moment; the line is the clip itself", fontsize=9)
        _measures(measures, prediction)
        for axis in (whole, close):
            axis.set_ylabel("code", fontsize=8)
        figure.colorbar(image, ax=[whole, close], label="log10 of the probability", fraction=0.03)
    return png(figure, dpi=80)


def loudest(prediction: Prediction) -> int:
    """The sample in the middle of the loudest 10 ms."""
    wave = prediction.wave_values[prediction.codes].astype(np.float64)
    return int(_smooth(wave**2, prediction).argmax())


def _title(prediction: Prediction) -> str:
    found = prediction.shape.summary()
    return (
        f'"{" ".join(prediction.words)}", {prediction.title}: {100 * found["unimodal"]:.1f} % unimodal, '
        f"{found['kl_codes']:.2f} bits from a Gaussian over codes"
    )


def _distributions(axis: Axes, prediction: Prediction, first: int, last: int) -> Any:
    chosen = np.unique(np.linspace(first, last - 1, min(COLUMNS, last - first)).astype(int))
    Q = prediction.probabilities.shape[1]
    shown = prediction.probabilities[torch.from_numpy(chosen)].clamp(min=1e-12).log10().numpy().T
    extent = (first / prediction.sample_rate, last / prediction.sample_rate, -0.5, Q - 0.5)
    options: dict[str, Any] = {
        "vmin": DARKEST,
        "vmax": 0,
        "cmap": "magma",
        "aspect": "auto",
        "interpolation": "nearest",
    }
    image = axis.imshow(shown, origin="lower", extent=extent, **options)
    if len(chosen) == last - first:
        axis.plot((chosen + 0.5) / prediction.sample_rate, prediction.codes[chosen], color=SAID, linewidth=0.7)
    axis.set(xlim=extent[:2], ylim=extent[2:])
    axis.set_xlabel("seconds", fontsize=8)
    axis.tick_params(labelsize=7)
    return image


def _mark_units(axis: Axes, prediction: Prediction) -> None:
    starts = np.flatnonzero(np.diff(prediction.units, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(prediction.codes)], strict=True):
        axis.axvline(start / prediction.sample_rate, color="white", linewidth=0.5)
        middle = (start + end) / 2 / prediction.sample_rate
        name = _unit_name(prediction, int(start))
        axis.text(middle, 1.01, name, fontsize=6, ha="center", transform=axis.get_xaxis_transform())


def _unit_name(prediction: Prediction, sample: int) -> str:
    word, unit = prediction.names[prediction.units[sample]]
    return prediction.words[word] if unit == "word" else unit


def _smooth(values: np.ndarray, prediction: Prediction) -> np.ndarray:
    width = min(len(values), max(1, round(SMOOTH_SECONDS * prediction.sample_rate)))
    return np.convolve(values, np.full(width, 1 / width), "same")


def _measures(axis: Axes, prediction: Prediction) -> None:
    shape, seconds = prediction.shape, np.arange(len(prediction.codes)) / prediction.sample_rate
    lines = {
        "bits from a Gaussian over codes": (shape.kl_codes, BARS),
        "bits from a Gaussian over wave values": (shape.kl_wave, FIT),
        "share that is not unimodal over codes": (1.0 - shape.unimodal, SAID),
    }
    for label, (values, color) in lines.items():
        axis.plot(seconds, _smooth(values, prediction), color=color, linewidth=0.9, label=label)
    axis.set(xlim=(0, seconds[-1]), ylim=(0, None))
    axis.set_title(f"means over {1000 * SMOOTH_SECONDS:.0f} ms", fontsize=9)
    axis.set_xlabel("seconds", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(frameon=False, fontsize=7)


# The video


def frames(predictions: Sequence[Prediction], first: Sequence[int], count: int) -> Iterator[np.ndarray]:
    """`count` images (height, width, 3) uint8: the distributions of successive samples, from `first` of each clip on.

    Bars are the softmax, the line is the Gaussian of its mean and variance, the dashed line the clip's code.
    """
    figure = Figure(figsize=VIDEO_INCHES, dpi=VIDEO_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(predictions), squeeze=False, height_ratios=(3, 1))
    columns = [
        _Column(above, below, prediction, start, count)
        for prediction, start, (above, below) in zip(predictions, first, axes.T, strict=True)
    ]
    for index in range(count):
        for column in columns:
            column.show(index)
        canvas.draw()
        figure.set_layout_engine("none")  # the first image was laid out; again for each would take most of the time
        yield np.array(canvas.buffer_rgba())[:, :, :3]


class _Column:
    """One clip in the video: its distribution above, its wave with a cursor below."""

    def __init__(self, above: Axes, below: Axes, prediction: Prediction, first: int, count: int) -> None:
        self.prediction, self.first, self.axis = prediction, first, above
        Q, shown = prediction.probabilities.shape[1], slice(first, first + count)
        p = prediction.probabilities[shown].double()
        self.fits = gaussian(p / p.sum(1, keepdim=True), torch.arange(Q, dtype=torch.float64)).exp().numpy()
        self.bars = above.stairs(np.zeros(Q), np.arange(Q + 1) - 0.5, fill=True, color=BARS, alpha=0.6)
        (self.fit,) = above.plot(np.arange(Q), np.zeros(Q), color=FIT, linewidth=1.2)
        self.said = above.axvline(0, color=SAID, linewidth=1.2, linestyle="--")
        # The scale is that of the clip's sharper distributions, not of its sharpest: silence would flatten the rest.
        top = float(np.quantile(p.amax(1).numpy(), 0.9))
        above.set(xlim=(-0.5, Q - 0.5), ylim=(0, 1.1 * top), xlabel="code", ylabel="probability")
        seconds = np.arange(first, first + len(p)) / prediction.sample_rate
        below.plot(seconds, prediction.codes[shown], color=SAID, linewidth=0.8)
        below.set(xlabel="seconds", ylabel="code", ylim=(-0.5, Q - 0.5))
        self.cursor = below.axvline(seconds[0], color="black", linewidth=0.8)

    def show(self, index: int) -> None:
        """Set the artists to sample `first` + `index`."""
        prediction, sample = self.prediction, self.first + index
        self.bars.set_data(prediction.probabilities[sample].numpy())
        self.fit.set_ydata(self.fits[index])
        code = int(prediction.codes[sample])
        self.said.set_xdata([code, code])
        seconds = sample / prediction.sample_rate
        self.cursor.set_xdata([seconds, seconds])
        modes = "unimodal" if prediction.shape.unimodal[sample] else "several modes"
        bits = f"{prediction.shape.kl_codes[sample]:.2f} bits from the Gaussian"
        self.axis.set_title(
            f"{prediction.title}, {seconds:.4f} s, {_unit_name(prediction, sample)}: {modes}, {bits}", fontsize=8
        )


def video(predictions: Sequence[Prediction], count: int, per_second: int, start_seconds: float | None = None) -> bytes:
    """MP4 (H.264) with `count` images, one a sample, `per_second` of them a second.

    Each clip is shown from `start_seconds` on; None: so that its loudest moment is in the middle.

    Raises: InputError for a start beyond the end of a clip, or clips with fewer samples than `count` after it.
    """
    first = []
    for prediction in predictions:
        T = len(prediction.codes)
        middle = max(0, min(loudest(prediction) - count // 2, T - count))
        begin = middle if start_seconds is None else round(start_seconds * prediction.sample_rate)
        if begin + count > T:
            left = max(0, T - begin)
            raise InputError(f"{prediction.title} has {left} samples from there on, --frames is {count}; ask for fewer")
        first.append(begin)
    return encoded(frames(predictions, first, count), per_second)


def encoded(images: Iterator[np.ndarray], per_second: int) -> bytes:
    """Images (height, width, 3) uint8 as MP4 with H.264, which browsers play; an odd last row or column is cut."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=per_second, options={"crf": "23", "preset": "fast"})
        stream.pix_fmt = "yuv420p"
        for image in images:
            height, width = (size // 2 * 2 for size in image.shape[:2])
            if not stream.codec_context.is_open:
                stream.height, stream.width = height, width
            even = np.ascontiguousarray(image[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
