"""The CPU engine: one fused, compiled loop per utterance; no Python per sample and no torch.

What is linear in something that hardly changes is folded beforehand: the word, next-word and speaker parts of the
frame tier's first gates once per word, the clock's part once per clock value, embedding x first layer into one row
per (lag, level). What remains is sums of weight rows, `out += scale x row`, laid out so that the rows are contiguous
and the compiler vectorises over them; zeros (silent samples, ReLU's) are skipped exactly. Frame-tier weights that
float16 holds exactly, as those of a voice, stay float16 in memory and are widened in registers: they are read once per
frame from the outer caches, and their bytes are what it costs.

numba keeps the compiled code in `__pycache__` beside this file; where that is read-only, in the user's cache folder (on
Linux `~/.cache/numba`), or in `$NUMBA_CACHE_DIR` if that is set. Where none can be written, each process compiles anew.

Letters: F = frame_size, H = hist_size, S = sample_dim, Q levels, D = dim, G = width of a layer's gate sums (4 x D).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from tts.generation.request import Generated, Request, Uniforms, timing_threshold
from tts.generation.weights import checked_weights
from tts.models.config import TwoTierConfig

intrinsic: Any = _intrinsic  # its type hides that the context argument is numba's own

# Everything of fastmath but the licence to assume that NaN and infinity do not happen.
FASTMATH = {"reassoc", "contract", "arcp", "afn", "nsz"}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    options: dict[str, Any] = {"fastmath": FASTMATH, "nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in
        return numba.njit(**options)(function)


class _Weights(NamedTuple):
    """The model, folded and laid out. "wide" arrays are float32, or uint16 holding the bits of float16."""

    clock: np.ndarray  # (clock_frames, I): the clock's part of layer 0's input gates, I = their width
    heard: np.ndarray  # (F, I): of the previous frame's samples
    inputs: np.ndarray  # (n_rnn - 1, D, I) wide: of the layer below
    recurrent: np.ndarray  # (n_rnn, D, R) wide: of the layer's own state, R = width of the recurrent gates
    gate_bias: np.ndarray  # (n_rnn - 1, G)
    advance: np.ndarray  # (D,)
    advance_bias: np.ndarray  # (1,)
    upsample: np.ndarray  # (F, D, S) wide
    upsample_bias: np.ndarray  # (F, S)
    history: np.ndarray  # (rows, S): what each past sample adds to the first layer; see `_history_table`
    hidden: np.ndarray  # (sample_layers - 1, S, S)
    hidden_bias: np.ndarray  # (sample_layers - 1, S)
    output: np.ndarray  # (S, Q)
    output_bias: np.ndarray  # (Q,)
    value: np.ndarray  # (Q,): each level in [-1, 1), the middle one at 0


class _State(NamedTuple):
    """One utterance in the making, and scratch space."""

    h: np.ndarray  # (n_rnn, D)
    c: np.ndarray  # (n_rnn, D)
    base: np.ndarray  # (W, G): all of layer 0's gates that is the same throughout a word
    recent: np.ndarray  # (P + frames x F,) int64: the P = max(H, F) levels before, then those made now
    place: np.ndarray  # (2,) int64: word, frames since it began
    timing: np.ndarray  # (2,) float64: summed hazard, threshold
    forced: np.ndarray  # (1,) int64
    ends: np.ndarray  # (W,) int64: the frame after each finished word
    gates: np.ndarray  # (G,)
    x: np.ndarray  # (S,)
    logits: np.ndarray  # (Q,)
    rows: np.ndarray  # (scratch,) int64
    scales: np.ndarray  # (scratch,)


@intrinsic
def _wide(context: Any, x: Any) -> Any:
    """A weight as float32: uint16 are the bits of a float16."""
    if x == types.float32:
        return types.float32(x), lambda context, builder, signature, args: args[0]
    assert x == types.uint16, x

    def widen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(x), widen


@intrinsic
def _from_bits(context: Any, x: Any) -> Any:
    def cast(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), cast


# 2^(f + 1/2) as a polynomial in f, on [-1/2, 1/2].
_POWER = tuple(np.float32(math.sqrt(2) * math.log(2) ** k / math.factorial(k)) for k in range(8))


@_compiled
def _exp(x: Any) -> Any:
    """e^x in float32, relative error about 2e-7 (near 0) to 3e-6 (at -30); plain arithmetic, so that it vectorises."""
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
def _add_all(out: Any, table: Any, scales: Any) -> None:
    """out += scales @ table, eight rows at a time; `table` wide."""
    rows, width = table.shape
    full = rows - rows % 8
    for i in range(0, full, 8):
        a0, a1, a2, a3 = scales[i], scales[i + 1], scales[i + 2], scales[i + 3]
        a4, a5, a6, a7 = scales[i + 4], scales[i + 5], scales[i + 6], scales[i + 7]
        t = table[i : i + 8]
        for j in range(width):
            out[j] += (a0 * _wide(t[0, j]) + a1 * _wide(t[1, j]) + a2 * _wide(t[2, j]) + a3 * _wide(t[3, j])) + (
                a4 * _wide(t[4, j]) + a5 * _wide(t[5, j]) + a6 * _wide(t[6, j]) + a7 * _wide(t[7, j])
            )
    for i in range(full, rows):
        a = scales[i]
        for j in range(width):
            out[j] += a * _wide(table[i, j])


@_compiled
def _add_rows(out: Any, table: Any, rows: Any, scales: Any, count: Any) -> None:
    """out += the sum of `count` rows of `table`, each times its scale, eight at a time."""
    width = out.shape[0]
    full = count - count % 8
    for i in range(0, full, 8):
        a0, a1, a2, a3 = scales[i], scales[i + 1], scales[i + 2], scales[i + 3]
        a4, a5, a6, a7 = scales[i + 4], scales[i + 5], scales[i + 6], scales[i + 7]
        t0, t1, t2, t3 = table[rows[i]], table[rows[i + 1]], table[rows[i + 2]], table[rows[i + 3]]
        t4, t5, t6, t7 = table[rows[i + 4]], table[rows[i + 5]], table[rows[i + 6]], table[rows[i + 7]]
        for j in range(width):
            out[j] += (a0 * t0[j] + a1 * t1[j] + a2 * t2[j] + a3 * t3[j]) + (
                a4 * t4[j] + a5 * t5[j] + a6 * t6[j] + a7 * t7[j]
            )
    for i in range(full, count):
        a = scales[i]
        t = table[rows[i]]
        for j in range(width):
            out[j] += a * t[j]


@_compiled
def _keep_positive(x: Any, rows: Any, scales: Any) -> Any:
    """ReLU as a list: the places and values of what is above 0; returns how many."""
    count = 0
    for i in range(x.shape[0]):
        rows[count] = i
        scales[count] = x[i]
        count += x[i] > 0
    return count


@_compiled
def _lstm_cell(gates: Any, h: Any, c: Any) -> None:
    D = h.shape[0]
    i, f, g, o = gates[:D], gates[D : 2 * D], gates[2 * D : 3 * D], gates[3 * D :]
    for d in range(D):
        c[d] = _sigmoid(f[d]) * c[d] + _sigmoid(i[d]) * _tanh(g[d])
        h[d] = _sigmoid(o[d]) * _tanh(c[d])


@_compiled
def _gru_cell(gates: Any, h: Any) -> None:
    """`gates`: candidate's input part, reset, update, candidate's recurrent part."""
    D = h.shape[0]
    n, r, z, m = gates[:D], gates[D : 2 * D], gates[2 * D : 3 * D], gates[3 * D :]
    for d in range(D):
        candidate = _tanh(n[d] + _sigmoid(r[d]) * m[d])
        h[d] = candidate + _sigmoid(z[d]) * (h[d] - candidate)


@_compiled
def _draw(logits: Any, uniform: Any, inverse_temperature: Any) -> Any:
    """The first level whose running sum exceeds uniform x total; overwrites `logits`."""
    Q = logits.shape[0]
    highest = logits[0]
    for q in range(1, Q):
        highest = max(highest, logits[q])
    total = np.float32(0.0)
    for q in range(Q):
        p = _exp((logits[q] - highest) * inverse_temperature)
        logits[q] = p
        total += p
    target = uniform * total
    running = np.float32(0.0)
    # In strides of 16 first: a vectorised sum instead of a chain of Q additions.
    q = 0
    while q + 16 <= Q:
        stride = np.float32(0.0)
        for k in range(16):
            stride += logits[q + k]
        if running + stride > target:
            break
        running += stride
        q += 16
    while q < Q:
        running += logits[q]
        if running > target:
            return q
        q += 1
    # Rounding: u x total reached the total. The last level that has any probability.
    q = Q - 1
    while q > 0 and logits[q] == 0:
        q -= 1
    return q


@_compiled
def _run_frames(
    w: Any,
    s: Any,
    uniforms: Any,
    thresholds: Any,
    is_lstm: Any,
    is_real: Any,
    hist_size: Any,
    inverse_temperature: Any,
    first_frame: Any,
    max_word_frames: Any,
) -> Any:
    """Make up to `len(uniforms)` frames; returns how many were made before the last word ended."""
    F = w.upsample.shape[0]
    D = s.h.shape[1]
    Q = w.output_bias.shape[0]
    n_rnn = s.h.shape[0]
    W = s.base.shape[0]
    input_width, recurrent_width = w.heard.shape[1], w.recurrent.shape[2]
    before = s.recent.shape[0] - F * uniforms.shape[0]
    gates, x, rows, scales = s.gates, s.x, s.rows, s.scales
    input_gates, recurrent_gates = gates[:input_width], gates[gates.shape[0] - recurrent_width :]
    for row in range(uniforms.shape[0]):
        word, since = s.place[0], s.place[1]
        if since == 0:
            s.timing[0] = 0.0
            s.timing[1] = thresholds[row]
        now = before + row * F

        # The frame tier: one step.
        gates[:] = s.base[word]
        clock = w.clock[min(since, w.clock.shape[0] - 1)]
        for j in range(input_width):
            input_gates[j] += clock[j]
        count = 0
        for f in range(F):
            value = w.value[s.recent[now - F + f]]
            rows[count] = f
            scales[count] = value
            count += value != 0
        _add_rows(input_gates, w.heard, rows, scales, count)
        for k in range(n_rnn):
            if k > 0:
                gates[:] = w.gate_bias[k - 1]
                _add_all(input_gates, w.inputs[k - 1], s.h[k - 1])
            _add_all(recurrent_gates, w.recurrent[k], s.h[k])
            if is_lstm:
                _lstm_cell(gates, s.h[k], s.c[k])
            else:
                _gru_cell(gates, s.h[k])
        top = s.h[n_rnn - 1]

        # The sample tier: F samples.
        for f in range(F):
            x[:] = w.upsample_bias[f]
            _add_all(x, w.upsample[f], top)
            past = now + f - hist_size
            if is_real:
                count = 0
                for lag in range(hist_size):
                    value = w.value[s.recent[past + lag]]
                    rows[count] = lag
                    scales[count] = value
                    count += value != 0
                rows[count] = hist_size + s.recent[now + f - 1]
                scales[count] = 1.0
                count += 1
            else:
                for lag in range(hist_size):
                    rows[lag] = lag * Q + s.recent[past + lag]
                    scales[lag] = 1.0
                count = hist_size
            _add_rows(x, w.history, rows, scales, count)
            for k in range(w.hidden.shape[0]):
                count = _keep_positive(x, rows, scales)
                x[:] = w.hidden_bias[k]
                _add_rows(x, w.hidden[k], rows, scales, count)
            count = _keep_positive(x, rows, scales)
            s.logits[:] = w.output_bias
            _add_rows(s.logits, w.output, rows, scales, count)
            s.recent[now + f] = _draw(s.logits, uniforms[row, f], inverse_temperature)

        # The word's turn: over?
        logit = np.float64(w.advance_bias[0])
        for d in range(D):
            logit += np.float64(top[d] * w.advance[d])
        s.timing[0] += max(logit, 0.0) + math.log1p(math.exp(-abs(logit)))
        over = s.timing[0] > s.timing[1]
        if over or since + 1 >= max_word_frames:
            s.forced[0] += not over
            s.ends[word] = first_frame + row + 1
            s.place[0], s.place[1] = word + 1, 0
            if word + 1 == W:
                return row + 1
        else:
            s.place[1] = since + 1
    return uniforms.shape[0]


class CpuEngine:
    """Speaks with a model's weights on one CPU core."""

    def __init__(self, config: TwoTierConfig, weights: Mapping[str, np.ndarray], block_frames: int = 64) -> None:
        """Lay the weights out.

        Args:
            config: the model's shape.
            weights: as `TwoTier(config).state_dict()`, floating-point numpy arrays.
            block_frames: frames made per call of the compiled loop; the result does not depend on it.

        Raises:
            InputError: see `checked_weights`.
        """
        self.config = config
        self.block_frames = block_frames
        self._folder = _Folder(config, checked_weights(config, weights))
        self._weights = self._folder.lay_out()

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """Make each utterance in turn."""
        return [self._generate(request) for request in requests]

    def _generate(self, request: Request) -> Generated:
        c = self.config
        state = self._folder.initial_state(request, self.block_frames)
        pieces = list(self._blocks(request, state))
        words = int(state.place[0])
        ends = [int(end) * c.frame_size for end in state.ends[:words]]
        stopped = words == len(state.base)
        return Generated(np.concatenate(pieces), ends, "stop" if stopped else "cap", int(state.forced[0]))

    def _blocks(self, request: Request, state: _State) -> Iterator[np.ndarray]:
        c = self.config
        before = max(c.hist_size, c.frame_size)
        uniforms = Uniforms(request.seed, c.frame_size)
        max_word_frames = request.max_word_frames if c.conditioning == "pointer" else request.max_frames + 1
        done = 0
        while done < request.max_frames and state.place[0] < len(state.base):
            count = min(self.block_frames, request.max_frames - done)
            rows = uniforms.rows(count)
            thresholds = np.array([timing_threshold(u, request.sampling.timing_spread) for u in rows[:, -1]])
            recent = state.recent[: before + count * c.frame_size]
            made = _run_frames(
                self._weights,
                state._replace(recent=recent),
                rows,
                thresholds,
                c.cell == "lstm",
                c.history == "real",
                c.hist_size,
                np.float32(1 / request.sampling.temperature),
                done,
                max_word_frames,
            )
            end = before + made * c.frame_size
            yield recent[before:end].astype(np.int16)
            recent[:before] = recent[end - before : end].copy()
            done += made


class _Folder:
    """Folds the named weights: once per model (`lay_out`) and once per utterance (`initial_state`)."""

    def __init__(self, config: TwoTierConfig, weights: dict[str, np.ndarray]) -> None:
        self.config = config
        self.weights = weights

    def _gate_rows(self, name: str) -> np.ndarray:
        """(in, gates) of a recurrent weight or (gates,) of a bias; a GRU's gates in the order that its sums lie in.

        torch keeps a GRU's gates as reset, update, candidate. The candidate's input and recurrent parts must stay
        apart, so the sums lie as [candidate's input, reset, update, candidate's recurrent]: input parts add to the
        first 3 x D, recurrent parts to the last 3 x D.
        """
        array = self.weights[f"rnn.{name}"]
        if self.config.cell == "gru" and "_ih_" in name:
            array = np.roll(array, self.config.dim, axis=0)
        return array.T

    def _bias(self, layer: int) -> np.ndarray:
        """(G,): both biases of a layer, each where its gates lie."""
        D = self.config.dim
        bias = np.zeros(4 * D, np.float32)
        of_input, of_state = self._gate_rows(f"bias_ih_l{layer}"), self._gate_rows(f"bias_hh_l{layer}")
        bias[: len(of_input)] += of_input
        bias[4 * D - len(of_state) :] += of_state
        return bias

    def lay_out(self) -> _Weights:
        c, w = self.config, self.weights
        first = self._gate_rows("weight_ih_l0")  # (input_dim, I): heard, this word, next word, speaker, clock
        clock = clock_features(c.clock_frames, c.clock_dim) @ first[c.input_dim - c.clock_dim :]
        above = range(1, c.n_rnn)
        inputs = [self._gate_rows(f"weight_ih_l{k}") for k in above]
        hidden = [w[f"hidden.{k}.weight"].T for k in range(c.sample_layers - 1)]
        upsample = w["upsample.weight"].reshape(c.frame_size, -1, c.dim).transpose(0, 2, 1)
        upsample_bias = w["upsample.bias"].reshape(c.frame_size, -1)
        if c.upsample_rank:
            upsample, upsample_bias = upsample @ w["widen.weight"].T, upsample_bias @ w["widen.weight"].T
        frame_tier = (
            _stack(inputs, (c.dim, first.shape[1])),
            np.stack([self._gate_rows(f"weight_hh_l{k}") for k in range(c.n_rnn)]),
            upsample,
        )
        compact = _widens_float16() and all(_fits_float16(array) for array in frame_tier)
        wide_inputs, recurrent, upsample = (_bits(array) if compact else _aligned(array) for array in frame_tier)
        return _Weights(
            clock=_aligned(clock),
            heard=_aligned(first[: c.frame_size]),
            inputs=wide_inputs,
            recurrent=recurrent,
            gate_bias=_aligned(_stack([self._bias(k) for k in above], (4 * c.dim,))),
            advance=_aligned(w["advance.weight"][0]),
            advance_bias=_aligned(w["advance.bias"]),
            upsample=upsample,
            upsample_bias=_aligned(upsample_bias),
            history=_aligned(self._history_table()),
            hidden=_aligned(_stack(hidden, (c.sample_dim, c.sample_dim))),
            hidden_bias=_aligned(_stack([w[f"hidden.{k}.bias"] for k in range(len(hidden))], (c.sample_dim,))),
            output=_aligned(w["output.weight"].T),
            output_bias=_aligned(w["output.bias"]),
            value=(np.arange(c.q_levels, dtype=np.float32) - c.q_levels // 2) / np.float32(c.q_levels // 2),
        )

    def _history_table(self) -> np.ndarray:
        """`real`: (H + Q, S), a row per lag, oldest first, then one per last level; `embedding`: (H x Q, S)."""
        c, w = self.config, self.weights
        if c.history == "real":
            return np.concatenate([w["hear.weight"].T, w["last_level.weight"]])
        hear = w["hear.weight"].reshape(c.sample_dim, c.hist_size, c.embedding_dim)
        return np.einsum("qe,she->hqs", w["levels.weight"], hear, optimize=True).reshape(-1, c.sample_dim)

    def initial_state(self, request: Request, block_frames: int) -> _State:
        c, w = self.config, self.weights
        before = max(c.hist_size, c.frame_size)
        base = self._word_gates(request)
        scratch = max(c.hist_size + 1, c.sample_dim, c.frame_size) + 1
        return _State(
            h=_aligned(w["h0"]),
            c=_aligned(w["c0"] if c.cell == "lstm" else w["h0"]),
            base=base,
            recent=np.full(before + min(block_frames, request.max_frames) * c.frame_size, c.q_levels // 2, np.int64),
            place=np.zeros(2, np.int64),
            timing=np.zeros(2, np.float64),
            forced=np.zeros(1, np.int64),
            ends=np.zeros(len(base), np.int64),
            gates=_aligned(np.zeros(4 * c.dim, np.float32)),
            x=_aligned(np.zeros(c.sample_dim, np.float32)),
            logits=_aligned(np.zeros(c.q_levels, np.float32)),
            rows=np.zeros(scratch, np.int64),
            scales=_aligned(np.zeros(scratch, np.float32)),
        )

    def _word_gates(self, request: Request) -> np.ndarray:
        """(W, G): the biases and the word, next-word and speaker parts of layer 0's gates, for each word."""
        c, w = self.config, self.weights
        vectors = request.words.astype(np.float32)
        assert vectors.shape[1] == c.word_dim, (vectors.shape, c.word_dim)
        assert 0 <= request.speaker < c.n_speakers, (request.speaker, c.n_speakers)
        if c.conditioning == "pooled":
            vectors = vectors.mean(0, keepdims=True)
        centred = vectors - vectors.mean(1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + np.float32(1e-5))  # LayerNorm
        embedded = np.tanh(normed @ w["word.weight"].T + w["word.bias"])
        following = np.concatenate([embedded[1:], np.tanh(w["end"])[None]])
        voice = np.broadcast_to(w["speaker.weight"][request.speaker], (len(vectors), c.speaker_dim))
        told = np.concatenate([embedded, following, voice], axis=1)
        part = self._gate_rows("weight_ih_l0")[c.frame_size : c.input_dim - c.clock_dim]
        gates = np.tile(self._bias(0), (len(vectors), 1))
        gates[:, : part.shape[1]] += told @ part
        return _aligned(gates)


def clock_features(frames: int, dim: int) -> np.ndarray:
    """`tts.models.two_tier.clock_features` without torch: (frames, dim) float32."""
    if dim == 0:
        return np.zeros((frames, 0), np.float32)
    period = 4.0 * np.logspace(0, math.log10(frames), dim // 2)
    angle = 2 * math.pi * np.arange(frames)[:, None] / period
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def _stack(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(arrays) if arrays else np.zeros((0, *shape), np.float32)


def _widens_float16() -> bool:
    """Whether this CPU turns float16 into float32 itself (all x86-64 since 2013, all of arm64)."""
    features = binding.get_host_cpu_features()
    return bool(features.get("f16c") or features.get("neon"))


def _fits_float16(array: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float16) == array).all())


def _bits(array: np.ndarray) -> np.ndarray:
    return _aligned(np.ascontiguousarray(array).astype(np.float16).view(np.uint16))


def _aligned(array: np.ndarray) -> np.ndarray:
    """A contiguous copy that begins on a cache line, so that no vector load straddles two."""
    buffer = np.empty(array.nbytes + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
