"""The CUDA engine's four Triton kernels. Importing this needs triton; with TRITON_INTERPRET=1 set before, no GPU.

Each program serves a tile of `TILE` streams (`find_predictor`'s: one), whatever the number of streams, and a row of a
matrix product does not depend on its neighbours, so a stream's samples are the same alone, in a batch, and in any
place of it. Every width is padded with zeros by `tts.generation.cuda_layout`, so that no kernel needs masks but where
it gathers.

Letters: P places for streams, B frames in a block, F = frame_size, H = hist_size, E = width of a past sample (1 for
`history: real`), W = lpc_window, and padded widths DP of the frame tier, SP of the sample tier, QP of the levels, LP of
a linear predictor and WP of its window.
"""

import triton
import triton.language as tl

from tts.models.config import LPC_CORRECTION, LPC_FLOOR

TILE = 16
"""Streams a program: the fewest rows of a matrix product (`tl.dot`)."""

# Rows of `counts`, (7, P) int64.
ALIVE, WORD, SINCE, WORDS_LEFT, FRAMES_LEFT, SPEAKER, MAX_WORD_FRAMES = range(7)
# Bits of `flags`, (P, B) int32: the frame was made; a word ended after it; by its cap.
MADE, ENDED, FORCED = 1, 2, 4

_ALIVE, _WORD, _SINCE, _WORDS_LEFT, _FRAMES_LEFT, _SPEAKER, _MAX_WORD_FRAMES = (tl.constexpr(k) for k in range(7))
_TILE = tl.constexpr(TILE)
_CORRECTION, _FLOOR = tl.constexpr(LPC_CORRECTION), tl.constexpr(LPC_FLOOR)


@triton.jit
def _dot(a: tl.tensor, weight: tl.tensor, total: tl.tensor, HALF: tl.constexpr) -> tl.tensor:
    """total + a @ weight as in float32: `a` float32, `weight` float16 (HALF) or float32.

    A float16 weight is exact; `a` is the sum of two float16 up to 2^-22 of itself, so two products of the tensor cores
    do. Otherwise three, of float32's upper bits ("tf32x3").
    """
    if HALF:
        high = a.to(tl.float16)
        low = (a - high.to(tl.float32)).to(tl.float16)
        total = tl.dot(high, weight, total)
        total = tl.dot(low, weight, total)
    else:
        total = tl.dot(a, weight, total, input_precision="tf32x3")
    return total


@triton.jit
def _tanh(x: tl.tensor) -> tl.tensor:
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _add_gates(
    a: tl.tensor,
    weight: tl.tensor,
    n: tl.tensor,
    w: tl.tensor,
    g: tl.tensor,
    o: tl.tensor,
    DP: tl.constexpr,
    HALF: tl.constexpr,
) -> tl.tensor:
    """Add a @ weight to the four gate sums; `weight` (BK, BN) pointers into the first gate's columns."""
    n = _dot(a, tl.load(weight), n, HALF)
    w = _dot(a, tl.load(weight + DP), w, HALF)
    g = _dot(a, tl.load(weight + 2 * DP), g, HALF)
    o = _dot(a, tl.load(weight + 3 * DP), o, HALF)
    return n, w, g, o


@triton.jit(do_not_specialize=["row"])
def frame_step(
    counts: tl.tensor,  # (7, P) int64
    levels: tl.tensor,  # (P, LENGTH) int16: the BEFORE levels before the block, then the block's
    text: tl.tensor,  # (P, WINDOW, T) float32: the words from the first of the block on, as the model sees them
    plan: tl.tensor,  # (P, WINDOW) int64: frames of those words, negative where cut; PLANNED's
    heard_weight: tl.tensor,  # (FK, 4 x DP)
    text_weight: tl.tensor,  # (TK, 4 x DP)
    speaker_gates: tl.tensor,  # (speakers, 4 x DP) float32, biases included
    clock_gates: tl.tensor,  # (CLOCK, 4 x DP) float32: of the frames since the word began
    left_gates: tl.tensor,  # (CLOCK, 4 x DP) float32: of the frames left in it; PLANNED's
    below: tl.tensor,  # (P, DP) float32: new state of the layer below
    below_weight: tl.tensor,  # (DP, 4 x DP)
    below_bias: tl.tensor,  # (4 x DP,) float32
    h_old: tl.tensor,  # (P, DP) float32
    h_new: tl.tensor,  # (P, DP) float32, written
    c: tl.tensor,  # (P, DP) float32, updated; an LSTM's
    recurrent_weight: tl.tensor,  # (DP, 4 x DP)
    row: tl.tensor,  # which frame of the block
    P: tl.tensor,
    LENGTH: tl.constexpr,
    BEFORE: tl.constexpr,
    F: tl.constexpr,
    MIDDLE: tl.constexpr,
    WINDOW: tl.constexpr,
    T: tl.constexpr,
    CLOCK: tl.constexpr,
    DP: tl.constexpr,
    FIRST: tl.constexpr,  # the lowest layer
    PLANNED: tl.constexpr,  # durations come with the words
    LSTM: tl.constexpr,
    HALF: tl.constexpr,
    BK: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """One step of one recurrent layer; a program makes BN units of a tile's states."""
    rows = tl.program_id(0) * _TILE + tl.arange(0, _TILE)
    units = tl.program_id(1) * BN + tl.arange(0, BN)
    lags = tl.arange(0, BK)
    if FIRST:
        speaker = tl.load(counts + _SPEAKER * P + rows)
        since = tl.load(counts + _SINCE * P + rows)
        word = rows * WINDOW + tl.load(counts + _WORD * P + rows)
        told = speaker_gates + speaker[:, None] * (4 * DP) + units[None, :]
        clock = clock_gates + tl.minimum(since, CLOCK - 1)[:, None] * (4 * DP) + units[None, :]
        s0 = tl.load(told) + tl.load(clock)
        s1 = tl.load(told + DP) + tl.load(clock + DP)
        s2 = tl.load(told + 2 * DP) + tl.load(clock + 2 * DP)
        s3 = tl.load(told + 3 * DP) + tl.load(clock + 3 * DP)
        if PLANNED:
            left = tl.abs(tl.load(plan + word)) - since - 1
            left = tl.minimum(tl.maximum(left, 0), CLOCK - 1)  # an empty place has fewer than none left
            ahead = left_gates + left[:, None] * (4 * DP) + units[None, :]
            s0 += tl.load(ahead)
            s1 += tl.load(ahead + DP)
            s2 += tl.load(ahead + 2 * DP)
            s3 += tl.load(ahead + 3 * DP)
        for start in range(0, F, BK):
            k = start + lags
            frame = levels + rows[:, None] * LENGTH + (BEFORE + (row - 1) * F) + k[None, :]
            level = tl.load(frame, mask=(k < F)[None, :], other=MIDDLE).to(tl.int32)
            heard = (level - MIDDLE).to(tl.float32) / MIDDLE
            weight = heard_weight + k[:, None] * (4 * DP) + units[None, :]
            s0, s1, s2, s3 = _add_gates(heard, weight, s0, s1, s2, s3, DP, HALF)
        # This word and the next one lie beside each other.
        for start in range(0, 2 * T, BK):
            k = start + lags
            seen = tl.load(text + word[:, None] * T + k[None, :], mask=(k < 2 * T)[None, :], other=0.0)
            weight = text_weight + k[:, None] * (4 * DP) + units[None, :]
            s0, s1, s2, s3 = _add_gates(seen, weight, s0, s1, s2, s3, DP, HALF)
    else:
        zeros = tl.zeros((_TILE, BN), tl.float32)
        s0 = zeros + tl.load(below_bias + units)[None, :]
        s1 = zeros + tl.load(below_bias + DP + units)[None, :]
        s2 = zeros + tl.load(below_bias + 2 * DP + units)[None, :]
        s3 = zeros + tl.load(below_bias + 3 * DP + units)[None, :]
        for start in range(0, DP, BK):
            k = start + lags
            state = tl.load(below + rows[:, None] * DP + k[None, :])
            weight = below_weight + k[:, None] * (4 * DP) + units[None, :]
            s0, s1, s2, s3 = _add_gates(state, weight, s0, s1, s2, s3, DP, HALF)
    for start in range(0, DP, BK):
        k = start + lags
        state = tl.load(h_old + rows[:, None] * DP + k[None, :])
        weight = recurrent_weight + k[:, None] * (4 * DP) + units[None, :]
        s0, s1, s2, s3 = _add_gates(state, weight, s0, s1, s2, s3, DP, HALF)
    own = rows[:, None] * DP + units[None, :]
    if LSTM:  # input, forget, cell, output
        cell = tl.sigmoid(s1) * tl.load(c + own) + tl.sigmoid(s0) * _tanh(s2)
        tl.debug_barrier()  # no thread may still have to read what another writes
        tl.store(c + own, cell)
        tl.store(h_new + own, tl.sigmoid(s3) * _tanh(cell))
    else:  # candidate's input part, reset, update, candidate's recurrent part
        candidate = _tanh(s0 + tl.sigmoid(s1) * s3)
        tl.store(h_new + own, candidate + tl.sigmoid(s2) * (tl.load(h_old + own) - candidate))


@triton.jit
def linear(
    out: tl.tensor,  # (rows, N) float32, written
    a: tl.tensor,  # (rows, K) float32
    weight: tl.tensor,  # (K, N)
    bias: tl.tensor,  # (N,) float32
    K: tl.constexpr,
    N: tl.constexpr,
    HALF: tl.constexpr,
    BK: tl.constexpr,
    BN: tl.constexpr,
) -> None:
    """out = a @ weight + bias; a program makes (TILE, BN) of it."""
    rows = (tl.program_id(0) * _TILE + tl.arange(0, _TILE)).to(tl.int64)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    lags = tl.arange(0, BK)
    total = tl.zeros((_TILE, BN), tl.float32) + tl.load(bias + columns)[None, :]
    for start in range(0, K, BK):
        k = start + lags
        part = tl.load(a + rows[:, None] * K + k[None, :])
        total = _dot(part, tl.load(weight + k[:, None] * N + columns[None, :]), total, HALF)
    tl.store(out + rows[:, None] * N + columns[None, :], total)


@triton.jit(do_not_specialize=["row"])
def find_predictor(
    counts: tl.tensor,  # (7, P) int64
    levels: tl.tensor,  # (P, LENGTH) int16
    waves: tl.tensor,  # (Q,) float32, of each level
    window: tl.tensor,  # (WP,) float32, 0 beyond W
    scratch: tl.tensor,  # (P, LP + WP + LP) float64; the first LP are 0 and stay it
    predictors: tl.tensor,  # (P, LP) float32, written: the last sample's coefficient first, 0 beyond LPC
    row: tl.tensor,  # which frame of the block
    P: tl.tensor,
    LENGTH: tl.constexpr,
    BEFORE: tl.constexpr,
    F: tl.constexpr,
    MIDDLE: tl.constexpr,
    LPC: tl.constexpr,  # the order
    LP: tl.constexpr,
    W: tl.constexpr,
    WP: tl.constexpr,
    BW: tl.constexpr,
) -> None:
    """`tts.models.prediction.coefficients` of the W samples before the frame; a program serves one stream.

    Sums and recursion are in float64, as there: of a voice without noise the equations are nearly singular.
    """
    stream = tl.program_id(0)
    if tl.load(counts + _ALIVE * P + stream) == 0:
        return
    lags = tl.arange(0, LP)
    places = tl.arange(0, BW)
    past = levels + stream * LENGTH + (BEFORE + row * F - W)
    own = scratch + stream * (LP + WP + LP) + LP
    for start in range(0, WP, BW):
        i = start + places
        level = tl.load(past + i, mask=i < W, other=MIDDLE).to(tl.int32)
        tl.store(own + i, (tl.load(waves + level) * tl.load(window + i)).to(tl.float64))
    tl.debug_barrier()
    squares = tl.zeros((BW,), tl.float64)
    products = tl.zeros((BW, LP), tl.float64)
    for start in range(0, WP, BW):
        i = start + places
        now = tl.load(own + i)
        squares += now * now
        products += now[:, None] * tl.load(own + i[:, None] - (1 + lags)[None, :])
    tl.store(own + WP + lags, tl.sum(products, 0))
    tl.debug_barrier()
    # By way of memory each thread has one lag; as the sum leaves them, all threads of a warp would have the same ones.
    r = tl.load(own + WP + lags)  # autocorrelations from lag 1 on
    error = tl.sum(squares, 0) * _CORRECTION + _FLOOR
    found = tl.zeros((LP,), tl.float64)
    for i in range(LPC):
        known = lags < i
        turned = tl.maximum(i - 1 - lags, 0)
        explained = tl.where(known, found * tl.gather(r, turned, 0), 0.0)
        reflection = tl.sum(tl.where(lags == i, r, 0.0) - explained, 0) / error
        found = tl.where(known, found - reflection * tl.gather(found, turned, 0), 0.0)
        found = tl.where(lags == i, reflection, found)
        error *= 1.0 - reflection * reflection
    tl.store(predictors + stream * LP + lags, found.to(tl.float32))


@triton.jit
def _expect(past: tl.tensor, waves: tl.tensor, predictor: tl.tensor) -> tl.tensor:
    """(TILE,) float32: the sample after the levels `past` (TILE, LP), the last one first."""
    return tl.sum(predictor * tl.load(waves + past.to(tl.int32)), 1)


@triton.jit
def _between_rows(
    wave: tl.tensor, table: tl.tensor, Q: tl.constexpr, LOG_Q: tl.constexpr, SP: tl.constexpr
) -> tl.tensor:
    """(TILE, SP) float32: what lies between two rows of the table where the wave lies between two levels.

    The place is `tts.models.prediction.places`; the logarithm's error is small against a level's step even near 0.
    """
    wave = tl.minimum(tl.maximum(wave, -1.0), 1.0)
    if LOG_Q > 0:
        companded = tl.log(1.0 + (Q - 1) * tl.abs(wave)) / LOG_Q
        wave = tl.where(wave < 0, -companded, companded)
    place = tl.minimum(tl.maximum((wave + 1.0) * ((Q - 1) / 2), 0.0), Q - 1 - 1e-4)
    below = place.to(tl.int32)
    own = table + below[:, None] * SP + tl.arange(0, SP)[None, :]
    lower = tl.load(own).to(tl.float32)
    return lower + (place - below)[:, None] * (tl.load(own + SP).to(tl.float32) - lower)


@triton.jit
def _through(
    x: tl.tensor,
    scratch: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    K: tl.constexpr,
    N: tl.constexpr,
    HALF: tl.constexpr,
    BK: tl.constexpr,
) -> tl.tensor:
    """relu(x) @ weight + bias, by way of `scratch` (TILE, K), since registers cannot be cut into chunks of K."""
    tile = tl.arange(0, _TILE)
    every = tl.arange(0, K)
    columns = tl.arange(0, N)
    lags = tl.arange(0, BK)
    tl.store(scratch + tile[:, None] * K + every[None, :], tl.maximum(x, 0.0))
    tl.debug_barrier()
    total = tl.zeros((_TILE, N), tl.float32) + tl.load(bias + columns)[None, :]
    for start in range(0, K, BK):
        k = start + lags
        part = tl.load(scratch + tile[:, None] * K + k[None, :])
        total = _dot(part, tl.load(weight + k[:, None] * N + columns[None, :]), total, HALF)
    return total


@triton.jit
def _draw(logits: tl.tensor, uniform: tl.tensor, temperature: tl.tensor, QP: tl.constexpr) -> tl.tensor:
    """(TILE,) int32: the first level whose running sum exceeds uniform x total; never one of no probability."""
    q = tl.arange(0, QP)[None, :]
    scaled = logits / temperature[:, None]
    p = tl.exp(scaled - tl.max(scaled, 1)[:, None])
    running = tl.cumsum(p, 1)
    target = uniform * tl.max(running, 1)
    first = tl.min(tl.where((running > target[:, None]) & (p > 0), q, QP), 1)
    # Rounding: u x total reached the total. The last level that has any probability.
    return tl.minimum(first, tl.max(tl.where(p > 0, q, 0), 1))


@triton.jit(do_not_specialize=["row"])
def sample_frame(
    counts: tl.tensor,  # (7, P) int64, updated
    timing: tl.tensor,  # (2, P) float64, updated unless PLANNED: summed hazard, threshold
    plan: tl.tensor,  # (P, WINDOW) int64: frames of the block's words, negative where cut; PLANNED's
    flags: tl.tensor,  # (P, B) int32, written
    levels: tl.tensor,  # (P, LENGTH) int16, written
    told: tl.tensor,  # (P, F, SP) float32: what the frame tier says
    scratch: tl.tensor,  # (P / TILE, 2, TILE, SP) float32
    uniforms: tl.tensor,  # (P, B, F + 1) float32
    thresholds: tl.tensor,  # (P, B) float64; read unless PLANNED, as are `top` and the advance bit's weights
    temperatures: tl.tensor,  # (P,) float32
    top: tl.tensor,  # (P, DP) float32: the frame tier's top state
    hear_weight: tl.tensor,  # (HK, SP): H x E rows, the oldest sample's first
    past_table: tl.tensor,  # (Q, SP) float32, what the last level adds; or (Q, E), the levels' embeddings
    waves: tl.tensor,  # (Q,) float32, of each level; LPC's, as are the next two
    predictors: tl.tensor,  # (P, LP) float32: as `find_predictor` writes it
    predicted: tl.tensor,  # (2, Q, SP): what a predicted sample adds, and the error of the last one
    hidden_weight: tl.tensor,  # (HIDDEN, SP, SP)
    hidden_bias: tl.tensor,  # (HIDDEN, SP) float32
    output_weight: tl.tensor,  # (SP, QP)
    output_bias: tl.tensor,  # (QP,) float32, -inf beyond Q
    advance_weight: tl.tensor,  # (DP,) float32
    advance_bias: tl.tensor,  # (1,) float32
    row: tl.tensor,  # which frame of the block
    P: tl.tensor,
    LENGTH: tl.constexpr,
    BEFORE: tl.constexpr,
    B: tl.constexpr,
    F: tl.constexpr,
    MIDDLE: tl.constexpr,
    WINDOW: tl.constexpr,
    H: tl.constexpr,
    E: tl.constexpr,
    LPC: tl.constexpr,  # the order of the linear prediction, 0: none
    LP: tl.constexpr,
    LOG_Q: tl.constexpr,  # of mu-law; 0: linear
    PLANNED: tl.constexpr,  # durations come with the words
    REAL: tl.constexpr,
    HIDDEN: tl.constexpr,
    DP: tl.constexpr,
    SP: tl.constexpr,
    QP: tl.constexpr,
    HALF: tl.constexpr,
    BK: tl.constexpr,
) -> None:
    """The F samples of one frame for a tile of streams, one after the other, and whether their words end after it."""
    tile = tl.program_id(0)
    rows = tile * _TILE + tl.arange(0, _TILE)
    alive = tl.load(counts + _ALIVE * P + rows)
    if tl.max(alive, 0) == 0:
        tl.store(flags + rows * B + row, tl.zeros((_TILE,), tl.int32))
        return
    columns = tl.arange(0, SP)
    lags = tl.arange(0, BK)
    temperature = tl.load(temperatures + rows)
    own_levels = levels + rows * LENGTH + BEFORE + row * F
    own_uniforms = uniforms + (rows * B + row) * (F + 1)
    own_told = told + rows.to(tl.int64)[:, None] * (F * SP) + columns[None, :]
    own_scratch = scratch + tile * (2 * _TILE * SP)
    if LPC:
        taps = tl.arange(0, LP)
        within = (taps < LPC)[None, :]
        predictor = tl.load(predictors + rows[:, None] * LP + taps[None, :])
        before = own_levels[:, None] - (1 + taps)[None, :]
        expected = _expect(tl.load(before - 1, mask=within, other=MIDDLE), waves, predictor)
    for f in tl.range(0, F, num_stages=1):  # never fetched ahead: a sample hears the one before it
        x = tl.load(own_told + f * SP)
        if LPC:
            # What was expected of the sample before this one has been summed already.
            error = tl.load(waves + tl.load(own_levels + (f - 1)).to(tl.int32)) - expected
            expected = _expect(tl.load(before + f, mask=within, other=MIDDLE), waves, predictor)
            x += _between_rows(expected, predicted, 2 * MIDDLE, LOG_Q, SP)
            x += _between_rows(error, predicted + 2 * MIDDLE * SP, 2 * MIDDLE, LOG_Q, SP)
        if REAL:
            heard = tl.zeros((_TILE, SP), tl.float32)
            for start in range(0, H, BK):
                k = start + lags
                past = tl.load(own_levels[:, None] + (f - H) + k[None, :], mask=(k < H)[None, :], other=MIDDLE)
                weight = tl.load(hear_weight + k[:, None] * SP + columns[None, :])
                # A level is exact in either type; its scale follows after the sum.
                heard = tl.dot((past.to(tl.int32) - MIDDLE).to(weight.dtype), weight, heard, input_precision="tf32x3")
            last = tl.load(own_levels + (f - 1)).to(tl.int32)
            x += heard / MIDDLE + tl.load(past_table + last[:, None] * SP + columns[None, :])
        else:
            for start in range(0, H * E, BK):
                k = start + lags
                inside = (k < H * E)[None, :]
                past = tl.load(own_levels[:, None] + (f - H) + (k // E)[None, :], mask=inside, other=0).to(tl.int32)
                embedded = tl.load(past_table + past * E + (k % E)[None, :], mask=inside, other=0.0)
                x = _dot(embedded, tl.load(hear_weight + k[:, None] * SP + columns[None, :]), x, HALF)
        # Two halves of the scratch in turn: a layer's input is read out before the one after the next overwrites it.
        for layer in tl.static_range(HIDDEN):
            half = own_scratch + (layer % 2) * (_TILE * SP)
            x = _through(x, half, hidden_weight + layer * (SP * SP), hidden_bias + layer * SP, SP, SP, HALF, BK)
        logits = _through(x, own_scratch + (HIDDEN % 2) * (_TILE * SP), output_weight, output_bias, SP, QP, HALF, BK)
        level = _draw(logits, tl.load(own_uniforms + f), temperature, QP)
        tl.store(own_levels + f, level.to(tl.int16))
        # The next sample hears this one, in other threads.
        tl.debug_barrier()

    since = tl.load(counts + _SINCE * P + rows)
    word = tl.load(counts + _WORD * P + rows)
    words_left = tl.load(counts + _WORDS_LEFT * P + rows)
    frames_left = tl.load(counts + _FRAMES_LEFT * P + rows)
    if PLANNED:
        frames = tl.load(plan + rows * WINDOW + word)
        # Many threads hold the same stream's counts: all must have read before one writes.
        tl.debug_barrier()
        over = since + 1 == frames
        ended = since + 1 >= tl.abs(frames)
    else:
        logit = tl.zeros((_TILE,), tl.float32) + tl.load(advance_bias)
        for start in range(0, DP, BK):
            k = start + lags
            state = tl.load(top + rows[:, None] * DP + k[None, :])
            logit += tl.sum(state * tl.load(advance_weight + k)[None, :], 1)
        z = logit.to(tl.float64)
        most = tl.load(counts + _MAX_WORD_FRAMES * P + rows)
        begins = since == 0
        hazard = tl.where(begins, 0.0, tl.load(timing + rows))
        threshold = tl.where(begins, tl.load(thresholds + rows * B + row), tl.load(timing + P + rows))
        tl.debug_barrier()  # as above
        hazard += tl.maximum(z, 0.0) + tl.log(1.0 + tl.exp(-tl.abs(z)))  # softplus
        over = hazard > threshold
        ended = over | (since + 1 >= most)
        tl.store(timing + rows, hazard)
        tl.store(timing + P + rows, threshold)
    made = alive > 0
    flag = tl.where(ended, tl.where(over, 3, 7), 1)  # MADE, ENDED, FORCED
    step = (made & ended).to(tl.int64)
    words_left -= step
    frames_left -= alive
    tl.store(flags + rows * B + row, tl.where(made, flag, 0))
    tl.store(counts + _WORD * P + rows, word + step)
    tl.store(counts + _SINCE * P + rows, tl.where(ended, 0, since + 1))
    tl.store(counts + _WORDS_LEFT * P + rows, words_left)
    tl.store(counts + _FRAMES_LEFT * P + rows, frames_left)
    tl.store(counts + _ALIVE * P + rows, (made & (words_left > 0) & (frames_left > 0)).to(tl.int64))
