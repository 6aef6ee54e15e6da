"""The compiled loop of the native engine: frames of several utterances in step, no Python inside.

The frame tier takes its step for all utterances together, so that its weights, too many for the inner caches, are
read once for four of them. The sample tier then makes one utterance's frame after the other: what a sample can know
before the frame begins (its conditioning, and the past up to the frame) is summed for all F samples at once, and what
is left for a sample is the frame's own samples so far, the hidden layers and the draw.

numba keeps the compiled code in `__pycache__` beside this file; where that is read-only, in the user's cache folder (on
Linux `~/.cache/numba`), or in `$NUMBA_CACHE_DIR` if that is set. Where none can be written, each process compiles anew.

Letters as in `arrays`.
"""

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from tts.generation import scheduler
from tts.generation.native import arrays, kernels
from tts.generation.native.kernels import (
    LANES,
    POWER,
    add_listed_rows,
    add_rows,
    add_rows_of_four,
    exponentials,
    intrinsic,
    list_positive,
)
from tts.generation.scheduler import ADVANCED, FORCED

# Everything of fastmath but the license to assume that NaN and infinity do not happen.
FASTMATH = {"reassoc", "contract", "arcp", "afn", "nsz"}
# numba compiles anew where this file has changed; these are compiled into it as well.
_SOURCES = zlib.crc32(b"".join(Path(str(m.__file__)).read_bytes() for m in (arrays, kernels, scheduler)))


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__qualname__ += f"_{_SOURCES:08x}"  # which names the file of the compiled code
    options: dict[str, Any] = {"fastmath": FASTMATH, "nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in
        return numba.njit(**options)(function)


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled as a part of its caller: passing the tuples of arrays on costs seconds of compiling."""
    return numba.njit(inline="always")(function)


@intrinsic
def _from_bits(context: Any, x: Any) -> Any:
    def cast(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), cast


_POWER = tuple(np.float32(x) for x in POWER)


@_compiled
def _exp(x: Any) -> Any:
    """e^x in float32, relative error about 2e-7 (near 0) to 3e-6 (at -30); plain arithmetic, so that it vectorizes."""
    y = x * np.float32(1.4426950408889634)
    y = min(max(y, np.float32(-126.0)), np.float32(126.0))
    whole = np.floor(y)
    f = y - whole
    f -= np.float32(0.5)
    p = _POWER[7]
    for k in (6, 5, 4, 3, 2, 1, 0):
        p = p * f + _POWER[k]
    return p * _from_bits((np.int32(whole) + np.int32(127)) << np.int32(23))


@_compiled
def _sigmoid(x: Any) -> Any:
    return np.float32(1.0) / (np.float32(1.0) + _exp(-x))


@_compiled
def _tanh(x: Any) -> Any:
    return np.float32(2.0) * _sigmoid(np.float32(2.0) * x) - np.float32(1.0)


@_compiled
def _lstm_cell(gates: Any, h: Any, c: Any) -> None:
    D = h.shape[0]
    i, f, g, o = gates[:D], gates[D : 2 * D], gates[2 * D : 3 * D], gates[3 * D : 4 * D]
    for d in range(D):
        c[d] = _sigmoid(f[d]) * c[d] + _sigmoid(i[d]) * _tanh(g[d])
        h[d] = _sigmoid(o[d]) * _tanh(c[d])


@_compiled
def _multiply(
    out: Any,
    out_stride: Any,
    out_at: Any,
    start: Any,
    start_stride: Any,
    table: Any,
    table_at: Any,
    x: Any,
    x_at: Any,
    D: Any,
    width: Any,
    panel: Any,
    live: Any,
    n: Any,
) -> None:
    """out = start + x @ table, for the first n of the slots `live`; offsets without a stride are common to all."""
    for column in range(0, width, panel):
        at = table_at + column * D
        o, s = out_at + column, column if start_stride == 0 else out_at + column
        k = 0
        while k + 4 <= n:
            i0, i1, i2, i3 = live[k], live[k + 1], live[k + 2], live[k + 3]
            add_rows_of_four(
                out,
                (o + i0 * out_stride, o + i1 * out_stride, o + i2 * out_stride, o + i3 * out_stride),
                start,
                (s + i0 * start_stride, s + i1 * start_stride, s + i2 * start_stride, s + i3 * start_stride),
                table,
                at,
                panel,
                x,
                (x_at + i0 * D, x_at + i1 * D, x_at + i2 * D, x_at + i3 * D),
                D,
                panel,
            )
            k += 4
        while k < n:
            i0 = live[k]
            add_rows(
                out,
                o + i0 * out_stride,
                start,
                s + i0 * start_stride,
                None,
                0,
                table,
                at,
                panel,
                x,
                x_at + i0 * D,
                D,
                panel,
            )
            k += 1


@_compiled
def _rows_of_places(
    out: Any,
    out_at: Any,
    start: Any,
    start_at: Any,
    start_stride: Any,
    table: Any,
    x: Any,
    x_at: Any,
    x_stride: Any,
    rows: Any,
    fewer: Any,
    F: Any,
    width: Any,
) -> None:
    """Each of the frame's F rows: out = start + x @ table, over `rows` rows, `fewer` less with each place."""
    f = 0
    while f + 4 <= F:
        o, s, z = out_at + f * width, start_at + f * start_stride, x_at + f * x_stride
        add_rows_of_four(
            out,
            (o, o + width, o + 2 * width, o + 3 * width),
            start,
            (s, s + start_stride, s + 2 * start_stride, s + 3 * start_stride),
            table,
            0,
            width,
            x,
            (z, z + x_stride, z + 2 * x_stride, z + 3 * x_stride),
            max(rows - fewer * f, 0),
            width,
        )
        f += 4
    while f < F:
        add_rows(
            out,
            out_at + f * width,
            start,
            start_at + f * start_stride,
            None,
            0,
            table,
            0,
            width,
            x,
            x_at + f * x_stride,
            max(rows - fewer * f, 0),
            width,
        )
        f += 1


@_compiled
def _draw(logits: Any, uniform: Any, inverse_temperature: Any, totals: Any, Q: Any) -> Any:
    """The first code whose running sum exceeds uniform x total; overwrites `logits`, in the order of the columns."""
    depth = logits.shape[0] // LANES
    exponentials(logits, depth * LANES, inverse_temperature, totals)
    total = totals[LANES - 1]
    target = uniform * total
    # The part of `depth` neighboring codes, then the code in it; counted instead of searched, as a branch that
    # goes another way each time costs more.
    part = 0
    for k in range(LANES - 1):
        part += totals[k] <= target
    running = totals[part - 1] if part > 0 else np.float32(0.0)
    inside = 0
    for k in range(depth):
        running += logits[k * LANES + part]
        inside += running <= target
    code = part * depth + inside
    if inside < depth and code < Q:
        return code
    # Rounding: the running sum ended below the target. The last code that has any weight.
    code = min(part * depth + depth, Q) - 1
    while code > 0 and logits[code % depth * LANES + code // depth] <= total * np.float32(1e-9):
        code -= 1
    return code


@_inlined
def _step(w: Any, s: Any, shape: Any, n: Any, row: Any) -> None:
    """One step of the frame tier for the first n of the slots `s.live`, up to the conditioning of the sample tier."""
    F, P, D, G = shape.F, shape.P, shape.D, shape.G
    zero = np.int64(0)  # numba would compile a function once more for a literal 0
    for k in range(n):
        slot = s.live[k]
        unit, since = s.units[slot, 0], s.units[slot, 1]
        if shape.explicit > 0:
            if since == 0:
                s.units[slot, 3] = abs(s.durations[slot, unit - s.base[slot, 2]])
        elif since == 0:
            # As `tts.generation.interface.duration_threshold`.
            pulled = 0.5 + s.timing[slot, 2] * (np.float64(s.uniforms[slot, row, F]) - 0.5)
            s.timing[slot, 0] = 0.0
            s.timing[slot, 1] = -math.log1p(-min(pulled, 1.0 - 2.0**-24))
        clock_at = min(since, shape.clock_frames - 1) * G
        base_at = (unit - s.base[slot, 1]) * G
        previous_at = slot * (P + F) + P - F
        own = slot * G
        if shape.explicit > 0:
            left_at = min(s.units[slot, 3] - since - 1, shape.clock_frames - 1) * G
            add_rows(s.gates, own, s.base[slot, 0], base_at, w.left, left_at, w.previous, 0, G, s.values, 0, zero, G)
            add_rows(s.gates, own, s.gates, own, w.clock, clock_at, w.previous, 0, G, s.values, previous_at, F, G)
        else:
            add_rows(
                s.gates, own, s.base[slot, 0], base_at, w.clock, clock_at, w.previous, 0, G, s.values, previous_at, F, G
            )
    _multiply(s.gates, G, zero, s.gates, G, w.recurrent, zero, s.h, zero, D, G, shape.gate_panel, s.live, n)
    for k in range(n):
        slot = s.live[k]
        _lstm_cell(s.gates[slot * G : (slot + 1) * G], s.h[slot * D : (slot + 1) * D], s.c[slot * D : (slot + 1) * D])
    width = shape.upsampled_width
    _multiply(
        s.upsampled,
        width,
        zero,
        w.upsample_bias,
        zero,
        w.upsample,
        zero,
        s.h,
        zero,
        D,
        width,
        shape.upsampled_panel,
        s.live,
        n,
    )


@_inlined
def _make_samples(w: Any, s: Any, shape: Any, slot: Any, row: Any) -> None:
    """The F samples of a slot's frame."""
    F, H, P, S, Q, width = shape.F, shape.H, shape.P, shape.S, shape.Q, shape.sample_width
    values_at = slot * (P + F)
    zero, one = np.int64(0), np.int64(1)
    x, x_at = s.upsampled, slot * shape.upsampled_width
    if shape.r > 0:
        _rows_of_places(
            s.x, zero, s.zeros, zero, zero, w.conditioning, s.upsampled, x_at, shape.r, shape.r, zero, F, width
        )
        x, x_at = s.x, zero
    # The samples of this frame, not yet made, are zeros: four places at a time take what the first of them can.
    _rows_of_places(x, x_at, x, x_at, width, w.history, s.values, values_at + P - H, one, H, one, F, width)
    for f in range(F):
        own = min(f, H)
        add_rows(
            s.y,
            0,
            x,
            x_at + f * width,
            w.last,
            s.codes[slot, P + f - 1] * width,
            w.history,
            (H - own) * width,
            width,
            s.values,
            values_at + P + f - own,
            own,
            width,
        )
        for layer in range(shape.hidden_layers):
            count = list_positive(s.y, width, width, s.offsets, s.scales)
            s.positive[layer] += count
            add_listed_rows(
                s.y, w.hidden_bias, layer * width, w.hidden, layer * S * width, s.offsets, s.scales, count, width
            )
        count = list_positive(s.y, width, shape.logit_width, s.offsets, s.scales)
        s.positive[shape.hidden_layers] += count
        add_listed_rows(s.logits, w.output_bias, 0, w.output, 0, s.offsets, s.scales, count, shape.logit_width)
        code = _draw(s.logits, s.uniforms[slot, row, f], s.inverse_temperature[slot], s.totals, Q)
        s.made[slot, row * F + f] = code
        s.codes[slot, P + f] = code
        s.values[values_at + P + f] = w.value[code]
    for k in range(P):
        s.codes[slot, k] = s.codes[slot, F + k]
        s.values[values_at + k] = s.values[values_at + F + k]
    for f in range(F):
        s.values[values_at + P + f] = 0.0


@_inlined
def _advance(w: Any, s: Any, shape: Any, slot: Any, row: Any) -> None:
    """Whether the segment ends with this frame."""
    D = shape.D
    s.units[slot, 1] += 1
    if shape.explicit > 0:
        over = s.durations[slot, s.units[slot, 0] - s.base[slot, 2]] == s.units[slot, 1]
    else:
        top = slot * D
        logit = np.float64(w.advance_bias[0])
        for d in range(D):
            logit += np.float64(s.h[top + d] * w.advance[d])
        s.timing[slot, 0] += max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))
        over = s.timing[slot, 0] > s.timing[slot, 1]
    s.events[slot, row] = 0
    if over or s.units[slot, 1] >= s.units[slot, 3]:
        s.events[slot, row] = ADVANCED if over else ADVANCED | FORCED
        s.units[slot, 0] += 1
        s.units[slot, 1] = 0
    s.frames[slot, 0] += 1
    s.done[slot] += 1


@_compiled
def run_frames(w: Any, s: Any, shape: Any, frames: Any) -> None:
    """Make up to `frames` frames of each slot that has units and frames left; `s.done` says how many were made."""
    for slot in range(s.done.shape[0]):
        s.done[slot] = 0
    for row in range(frames):
        n = np.int64(0)
        for slot in range(s.done.shape[0]):
            if s.units[slot, 0] < s.units[slot, 2] and s.frames[slot, 0] < s.frames[slot, 1]:
                s.live[n] = slot
                n += 1
        if n == 0:
            return
        _step(w, s, shape, n, row)
        for k in range(n):
            _make_samples(w, s, shape, s.live[k], row)
            _advance(w, s, shape, s.live[k], row)


@_compiled
def measure_rows(out: Any, table: Any, x: Any, rows: Any, panels: Any, uses: Any, repeats: Any) -> None:
    """Read panels of `rows` rows as the engine does, each weight used once or four times; see `roofline`."""
    width = out.shape[0] // uses
    for _ in range(repeats):
        for panel in range(panels):
            at = panel * rows * width
            if uses == 1:
                add_rows(out, 0, out, 0, None, 0, table, at, width, x, 0, rows, width)
            else:
                places = (0, width, 2 * width, 3 * width)
                add_rows_of_four(
                    out, places, out, places, table, at, width, x, (0, rows, 2 * rows, 3 * rows), rows, width
                )
