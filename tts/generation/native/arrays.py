"""What the native engine's compiled loop works on: weights as they are laid out, widths, and places for utterances.

Letters: F = frame_size, H = hist_size, P = max(H, F), S = sample_dim, Q levels, D = dim, G = the width of the
LSTM's gate sums (4 x D), r = upsample_rank; a width with a + is padded with zeros.
"""

from typing import NamedTuple

import numpy as np


class Weights(NamedTuple):
    """The model, folded and laid out, all arrays flat. "table": weights in one of `kernels`' three forms."""

    clock: np.ndarray  # (clock_frames, G+) float32: the clock's part of the gates
    left: np.ndarray  # (clock_frames, G+) float32: the same of the frames left, empty where durations are implicit
    previous: np.ndarray  # (F, G+) table: of the previous frame's samples
    recurrent: np.ndarray  # (panels, D, panel) table: of the state; panels side by side are the gates
    advance: np.ndarray  # (D,) float32
    advance_bias: np.ndarray  # (1,) float32
    upsample: np.ndarray  # (panels, D, panel) table; panels side by side are (F, S+), or (F, r) and padding
    upsample_bias: np.ndarray  # (F x S+ or F x r and padding,) float32
    conditioning: np.ndarray  # (r, S+) table, empty without a rank
    history: np.ndarray  # (H, S+) table, a row per lag, oldest first
    last: np.ndarray  # (Q, S+) table: what the last code adds
    hidden: np.ndarray  # (sample_layers - 1, S, S+) table
    hidden_bias: np.ndarray  # (sample_layers - 1, S+) float32
    output: np.ndarray  # (S, Q+) table; code q lies in column (q % depth) x LANES + q // depth, depth = Q+ / LANES
    output_bias: np.ndarray  # (Q+,) float32
    value: np.ndarray  # (Q,) float32: each code in [-1, 1), the middle one at 0


class Shape(NamedTuple):
    """What the loop must know of the model beyond its weights."""

    F: int
    H: int
    P: int
    S: int
    Q: int
    D: int
    r: int
    G: int  # with padding, as are the widths from here on
    sample_width: int  # S
    logit_width: int  # Q
    upsampled_width: int  # what the upsampling makes
    gate_panel: int
    upsampled_panel: int
    hidden_layers: int
    clock_frames: int
    explicit: int  # 1: durations are explicit


class Slots(NamedTuple):
    """Places for n utterances in the making, and scratch space."""

    h: np.ndarray  # (n, D) float32, flat
    c: np.ndarray  # (n, D) float32, flat
    values: np.ndarray  # (n, P + F) float32, flat: the P samples before the frame, the frame's so far, zeros
    codes: np.ndarray  # (n, P + F) int64: the same as codes
    units: np.ndarray  # (n, 4) int64: unit, frames since its segment began, units in all, the cap on a segment's frames
    base: (
        np.ndarray
    )  # (n, 3) int64: address of a (units, G+) float32 table of gates; its first unit; the first of `durations`
    durations: np.ndarray  # (n, frames of a call + 1) int64: frames of each unit, negative where cut, if explicit
    frames: np.ndarray  # (n, 2) int64: frames made, the cap on them
    timing: np.ndarray  # (n, 3) float64: summed hazard, threshold, duration_spread
    inverse_temperature: np.ndarray  # (n,) float32
    uniforms: np.ndarray  # (n, frames of a call, F + 1) float32
    made: np.ndarray  # (n, frames of a call x F) int16: codes made by the call
    events: np.ndarray  # (n, frames of a call) uint8: see `scheduler.Piece`
    done: np.ndarray  # (n,) int64: frames made by the call
    positive: np.ndarray  # (sample_layers,) int64: neurons above 0, summed over all samples
    live: np.ndarray  # (n,) int64
    gates: np.ndarray  # (n, G+) float32, flat
    upsampled: np.ndarray  # (n, upsampled_width) float32, flat
    x: np.ndarray  # (F, S+) float32, flat
    y: np.ndarray  # (S+,) float32
    zeros: np.ndarray  # (S+,) float32
    logits: np.ndarray  # (Q+,) float32
    totals: np.ndarray  # (LANES,) float32
    offsets: np.ndarray  # (scratch,) int32
    scales: np.ndarray  # (scratch,) float32
