"""Lays a model's weights out for the CUDA kernels: transposed, folded, padded; float16 where that loses nothing.

Every matrix is (in, out), its sides padded with zeros: what a padded unit says is 0, or of probability 0. Padded: DP of
the frame tier, a multiple of 64; SP of the sample tier and QP of the levels, powers of two of at least 64; LP of the
linear prediction's order, a power of two of at least 16, and WP of its window, a multiple of 64.
"""

from dataclasses import dataclass

import numpy as np

from tts.audio import decode_table
from tts.errors import InputError
from tts.generation.features import clock_features
from tts.models.config import TwoTierConfig, lpc_window

CHUNK = 64
"""What is summed over is padded to a multiple of this; a power of two."""
WIDEST = 1024
"""Of the sample tier and the levels: wider, the registers of a program would not do."""
HIGHEST_ORDER = 256
"""Of the linear prediction, likewise."""
_HALF_LIMIT = 60_000.0
"""Activations that may be larger are not split into float16."""
_STAGES_BYTES = 112 * 1024
"""Shared memory for the weight chunks in flight, half of a Hopper multiprocessor's (228 KB): the rest is L1 cache."""


@dataclass(frozen=True)
class Layout:
    """Arrays by the names of the kernels' arguments, and the padded widths."""

    arrays: dict[str, np.ndarray]
    half: bool
    """Whether the matrices are float16, and the linear prediction's tables; the vectors and the other tables are
    float32 always."""
    DP: int
    SP: int
    QP: int
    RP: int
    """Padded rank of the upsampling; 0: full."""
    LP: int
    """0: no linear prediction."""
    WP: int
    stages: int = 3
    """Chunks of weights in flight."""

    @property
    def chunk(self) -> int:
        """How many rows of a sample tier's matrix are fetched at a time; a power of two, 16 … 64."""
        row = max(self.SP, self.QP) * (2 if self.half else 4) + 4 * 16
        chunk = CHUNK
        while chunk > 16 and chunk * row * self.stages > _STAGES_BYTES:
            chunk //= 2
        return chunk


def lay_out(config: TwoTierConfig, weights: dict[str, np.ndarray]) -> Layout:
    """Lay out checked weights.

    Raises:
        InputError: the model is wider than the kernels can do.
    """
    c = config
    limits = (("sample_dim", c.sample_dim, WIDEST), ("q_levels", c.q_levels, WIDEST))
    for name, width, most in (*limits, ("lpc_order", c.lpc_order, HIGHEST_ORDER)):
        if width > most:
            raise InputError(f"the CUDA engine does a {name} of at most {most}, not {width}; use engine='cpu'")
    half = _fits_half(c, weights)
    matrix = np.dtype(np.float16 if half else np.float32)
    DP, SP, QP = _multiple(c.dim), _power(c.sample_dim), _power(c.q_levels)
    RP = _multiple(c.upsample_rank)
    LP, WP = (_power(c.lpc_order, 16), _multiple(c.lpc_window)) if c.lpc_order else (0, 0)
    layout = Layout({}, half, DP, SP, QP, RP, LP, WP)
    arrays = layout.arrays

    def gates(name: str) -> np.ndarray:
        return _gate_columns(c, weights[f"rnn.{name}"], "_ih_" in name, DP)

    first = gates("weight_ih_l0")  # rows: heard, this word, next word, speaker, clock, with planned timing what is left
    ends = np.cumsum([c.frame_size, 2 * c.text_dim, c.speaker_dim, c.clock_dim])
    heard, text, speaker, clock, left = np.split(first, ends)
    features = clock_features(c.clock_frames, c.clock_dim)
    planned = c.timing == "planned"
    bias = [gates(f"bias_ih_l{k}")[0] + gates(f"bias_hh_l{k}")[0] for k in range(c.n_rnn)]
    arrays["heard_weight"] = _rows(heard).astype(matrix)
    arrays["text_weight"] = _rows(text).astype(matrix)
    arrays["speaker_gates"] = weights["speaker.weight"] @ speaker + bias[0]
    arrays["clock_gates"] = features @ clock
    # Nobody reads it, nor the advance bit's weights, where the timing is the other one; zeros keep the pointers valid.
    arrays["left_gates"] = features @ left if planned else np.zeros((1, 4 * DP), np.float32)
    recurrent = [_rows(gates(f"weight_hh_l{k}")) for k in range(c.n_rnn)]
    arrays["recurrent_weight"] = np.stack(recurrent).astype(matrix)
    # The lowest layer has nothing below it; a row of zeros keeps the pointer valid.
    below = [np.zeros((DP, 4 * DP), np.float32)] + [_rows(gates(f"weight_ih_l{k}")) for k in range(1, c.n_rnn)]
    arrays["below_weight"] = np.stack(below).astype(matrix)
    arrays["below_bias"] = np.stack(bias)
    arrays["h0"] = _padded(weights["h0"], (c.n_rnn, DP))
    arrays["c0"] = _padded(weights["c0" if c.cell == "lstm" else "h0"], (c.n_rnn, DP))

    width, padded = (c.upsample_rank, RP) if c.upsample_rank else (c.sample_dim, SP)
    upsample = weights["upsample.weight"].reshape(c.frame_size, width, c.dim).transpose(2, 0, 1)
    arrays["upsample_weight"] = _padded(upsample, (DP, c.frame_size, padded)).reshape(DP, -1).astype(matrix)
    upsample_bias = weights["upsample.bias"].reshape(c.frame_size, width)
    arrays["upsample_bias"] = _padded(upsample_bias, (c.frame_size, padded)).reshape(-1)
    if c.upsample_rank:
        arrays["widen_weight"] = _padded(weights["widen.weight"].T, (RP, SP)).astype(matrix)
        arrays["widen_bias"] = np.zeros(SP, np.float32)

    hear = weights["hear.weight"].T
    arrays["hear_weight"] = _padded(hear, (_multiple(len(hear)), SP)).astype(matrix)
    table = weights["last_level.weight"] if c.history == "real" else weights["levels.weight"]
    arrays["past_table"] = _padded(table, (c.q_levels, SP)) if c.history == "real" else table
    # Without linear prediction nobody reads these; zeros keep the pointers valid.
    arrays["waves"] = decode_table(c.q_levels, c.quantization)
    arrays["window"] = _padded(lpc_window(c.lpc_window), (WP,)) if c.lpc_order else np.zeros(1, np.float32)
    predicted = weights["predicted"] if c.lpc_order else np.zeros((2, 1, 1), np.float32)
    arrays["predicted"] = _padded(predicted, (*predicted.shape[:2], SP)).astype(matrix)
    hidden = np.zeros((max(c.sample_layers - 1, 1), SP, SP), np.float32)
    hidden_bias = np.zeros((len(hidden), SP), np.float32)
    for k in range(c.sample_layers - 1):
        hidden[k] = _padded(weights[f"hidden.{k}.weight"].T, (SP, SP))
        hidden_bias[k] = _padded(weights[f"hidden.{k}.bias"], (SP,))
    arrays["hidden_weight"] = hidden.astype(matrix)
    arrays["hidden_bias"] = hidden_bias
    arrays["output_weight"] = _padded(weights["output.weight"].T, (SP, QP)).astype(matrix)
    arrays["output_bias"] = _padded(weights["output.bias"], (QP,), -np.inf)
    arrays["advance_weight"] = _padded(np.zeros(0) if planned else weights["advance.weight"][0], (DP,))
    arrays["advance_bias"] = weights["advance.bias"]
    return layout


def _gate_columns(c: TwoTierConfig, array: np.ndarray, of_input: bool, DP: int) -> np.ndarray:
    """(gates x D, in) or (gates x D,) as torch has it, to (in, 4 x DP) float32, each gate where its sum lies.

    An LSTM's lie in torch's order. A GRU's candidate has two parts that stay apart, of the input and of the state; its
    sums lie as [candidate's input part, reset, update, candidate's recurrent part], torch's as [reset, update,
    candidate].
    """
    places = (0, 1, 2, 3)[: len(array) // c.dim] if c.cell == "lstm" else (1, 2, 0 if of_input else 3)
    of_gates = array.reshape(len(places), c.dim, -1).transpose(2, 0, 1)
    out = np.zeros((of_gates.shape[0], 4, DP), np.float32)
    out[:, places, : c.dim] = of_gates
    return out.reshape(-1, 4 * DP)


def _fits_half(c: TwoTierConfig, weights: dict[str, np.ndarray]) -> bool:
    """Whether float16 holds every matrix exactly, and every activation however the model is driven."""
    names = ["upsample.weight", "hear.weight", "output.weight", *(["widen.weight"] if c.upsample_rank else [])]
    names += [f"rnn.weight_{kind}_l{k}" for kind in ("ih", "hh") for k in range(c.n_rnn)]
    names += [f"hidden.{k}.weight" for k in range(c.sample_layers - 1)]
    names += ["predicted"] if c.lpc_order else []
    with np.errstate(over="ignore"):
        if any((weights[name].astype(np.float16) != weights[name]).any() for name in names):
            return False
    state = max(1.0, float(np.abs(weights["h0"]).max()))  # after the first step, a state lies within [-1, 1]
    told = np.abs(weights["upsample.weight"]).sum(1) * state + np.abs(weights["upsample.bias"])
    told = told.reshape(c.frame_size, -1).max(0)
    largest = [state, told.max()]
    x = np.abs(weights["widen.weight"]) @ told if c.upsample_rank else told
    if c.history == "real":
        x = x + np.abs(weights["hear.weight"]).sum(1) + np.abs(weights["last_level.weight"]).max(0)
    else:
        level = np.abs(weights["levels.weight"]).max()
        largest.append(level)
        x = x + np.abs(weights["hear.weight"]).sum(1) * level
    if c.lpc_order:
        x = x + np.abs(weights["predicted"]).max(1).sum(0)
    for k in range(c.sample_layers - 1):
        largest.append(x.max())
        x = np.abs(weights[f"hidden.{k}.weight"]) @ x + np.abs(weights[f"hidden.{k}.bias"])
    return bool(max(*largest, x.max()) < _HALF_LIMIT)


def _multiple(width: int) -> int:
    return -(-width // CHUNK) * CHUNK


def _power(width: int, least: int = CHUNK) -> int:
    return max(least, 1 << (width - 1).bit_length())


def _rows(matrix: np.ndarray) -> np.ndarray:
    return _padded(matrix, (_multiple(len(matrix)), matrix.shape[1]))


def _padded(array: np.ndarray, shape: tuple[int, ...], value: float = 0.0) -> np.ndarray:
    out = np.full(shape, value, np.float32)
    out[tuple(slice(n) for n in array.shape)] = array
    return out
