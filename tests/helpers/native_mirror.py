"""What engine.c computes, written down again with numpy: slow, and the same bits.

Each operation is one numpy operation, in the order that engine.c's header promises. Letters as there.
"""

import numpy as np

from tts.audio import code_edges, decode_table
from tts.generation.durations import DurationSampler
from tts.generation.features import clock_features
from tts.generation.interface import SynthesisResult, Uniforms
from tts.generation.native.layout import lag_features, prediction_window
from tts.generation.rounding import (
    LEAST,
    MOST,
    RELU_LIMIT,
    WEIGHT_LIMIT,
    activation_limit,
    first_columns,
    integer_rows,
    state_limit,
    to_integers,
    weight_limit,
)

f32, f64 = np.float32, np.float64
ROUNDER = f32(12582912.0)
LOG2_E = f32(1.4426950408889634)
POWER = [
    0.0013266970636323094,
    0.009675459936261177,
    0.05550742521882057,
    0.24022121727466583,
    0.6931469440460205,
    1.0000001192092896,
]


def two_to(y):
    y = np.clip(y, f32(-126), f32(126))
    shifted = y + ROUNDER
    f = y - (shifted - ROUNDER)
    p = f32(POWER[0])
    for c in POWER[1:]:
        p = p * f + f32(c)
    return p * ((shifted.view(np.int32) - 0x4B400000 + 127) << 23).view(np.float32)


def sigmoid(x):
    return f32(1) / (f32(1) + two_to(x * -LOG2_E))


def tanh(x):
    return f32(2) * sigmoid(f32(2) * x) - f32(1)


def running(lanes):
    """Sums of the 16 lanes so far (8 of float64), by doubling."""
    for shift in (1, 2, 4, 8):
        if shift < len(lanes):
            lanes = lanes + np.concatenate([np.zeros(shift, lanes.dtype), lanes[:-shift]])
    return lanes


def logarithm(x):
    x = np.asarray(x, f64)
    bits = x.view(np.uint64)
    exponent = (bits - np.uint64(0x3FE6A09E667F3BCD)).view(np.int64) >> 52
    m = (bits - (exponent.view(np.uint64) << np.uint64(52))).view(f64)
    r = (m - 1) / (m + 1)
    q = r * r
    q2, q4 = q * q, (q * q) * (q * q)
    low = (1 + q / 3) + (1.0 / 5 + q * (1.0 / 7)) * q2
    high = (1.0 / 9 + q * (1.0 / 11)) + (1.0 / 13 + q * (1.0 / 15)) * q2 + q4 * (1.0 / 17)
    return exponent * 0.6931471805599453 + 2 * r * (low + high * q4)


def correlate(x, y, count):
    """sum_t x[t] y[t + k] in the order of t."""
    total = np.zeros(count)
    y = np.concatenate([y, np.zeros(count)])
    for t, factor in enumerate(x):
        total = total + factor * y[t : t + count]
    return total


def linear_predictor(past, order):
    windowed = past * prediction_window(len(past))
    r = correlate(windowed, windowed, order + 1)
    power = 0.5 * len(past)
    error = r[0] * (1 + 3e-4) + 1e-7 * power
    a = np.zeros(0)
    for k in range(order):
        lanes = np.zeros(8)
        for chunk in np.pad(a * r[k:0:-1], (0, -k % 8)).reshape(-1, 8):
            lanes = lanes + chunk
        reflection = (r[k + 1] - running(lanes)[-1]) / error
        a = np.append(a - reflection * a[::-1], reflection)
        error = error * (1 - reflection * reflection)
    return a, max(np.sqrt(error / power), 3e-4)


def pitch(residual, lags):
    """Lag and correlation of residuals (pitch_window + the longest lag,)."""
    low, high = lags
    size = len(residual) - high
    cross = correlate(residual[high:], residual, high - low + 1)
    squares = [0.0]
    for chunk in np.pad(residual, (0, -len(residual) % 8)).reshape(-1, 8):
        squares.extend(running(chunk * chunk) + squares[-1])
    squares = np.array(squares)
    place = np.arange(high - low + 1)
    energy = np.maximum(squares[place + size] - squares[place], 0) * (squares[high + size] - squares[high])
    steps = np.rint(cross / (np.sqrt(energy) + size * (3e-4 * 3e-4)) * 65536)
    best = np.flatnonzero(steps == steps.max())[-1]
    return high - best, steps[best] / 65536


def add_rows(start, rows, x):
    total = start.astype(f32)
    for scale, row in zip(x, rows, strict=True):
        total = total + scale * row
    return total


class Mirror:
    """Makes one utterance at a time, from any weights; they are rounded here."""

    def __init__(self, config, weights):
        self.c = c = config
        self.w = w = {name: np.asarray(array, f32) for name, array in weights.items()}
        limits = {name: weight_limit(name, c.q_levels, c.hist_size) for name in w}
        self.rounded = {name: integer_rows(w[name], limit) for name, limit in limits.items() if limit}
        frame, text, self.rest = first_columns(c, w["rnn.weight_ih_l0"])
        self.rounded["frame"], self.rounded["text"] = (
            integer_rows(frame, WEIGHT_LIMIT),
            integer_rows(text, WEIGHT_LIMIT),
        )
        self.duration_sampler = DurationSampler(c, w) if c.duration == "explicit" else None

    def multiply(self, start, name, a, step):
        scales, integers = self.rounded[name]
        sums = integers.astype(np.int64) @ np.asarray(a, np.int64)
        assert np.abs(sums).max() < 2**31
        return start + sums.astype(f32) * (scales * f32(step))

    def round_features(self, x, limit=None):
        limit = f32(limit or activation_limit(len(x)))
        most = max(np.abs(np.clip(x, -MOST, MOST)).max(), LEAST)
        return np.rint(np.clip(x, -MOST, MOST) * (limit / most)).astype(np.int64), most / limit

    def embed(self, vectors):
        """(W + 1, text_dim) integers."""
        w = self.w
        embedded = []
        for vector in vectors:
            mean = f32(np.cumsum(vector.astype(np.float64))[-1] / len(vector))
            squares = np.cumsum((vector - mean).astype(np.float64) ** 2)[-1]
            normed = (vector - mean) / np.sqrt(f32(squares / len(vector)) + f32(1e-5))
            embedded.append(tanh(add_rows(w["unit.bias"], w["unit.weight"].T, normed)))
        limit = activation_limit(2 * self.c.text_dim)
        embedded.append(np.tanh(w["end"].astype(np.float64)).astype(f32))
        return [to_integers(one, limit).astype(np.int64) for one in embedded]

    def clock_gates(self, columns):
        c = self.c
        features = clock_features(c.clock_frames, c.clock_dim)
        return [add_rows(np.zeros(4 * c.dim, f32), columns.T, row) for row in features]

    def generate(self, requests):
        return [self.make(request) for request in requests]

    def make(self, request):
        c, w = self.c, self.w
        F, H = c.frame_size, c.hist_size
        vectors = np.asarray(request.units, f32)
        if c.conditioning == "pooled":
            vectors = (np.cumsum(vectors.astype(np.float64), axis=0)[-1:] / len(vectors)).astype(f32)
        embedded = self.embed(vectors)
        unit_cap = request.max_unit_frames if c.conditioning == "pointer" else request.max_frames + 1
        of_speaker, clocks, of_analysis = np.split(self.rest, [c.speaker_dim, self.rest.shape[1] - 3], axis=1)
        clock = self.clock_gates(clocks[:, : c.clock_dim])
        left = self.clock_gates(clocks[:, c.clock_dim :]) if self.duration_sampler else None
        biases = [w[f"rnn.bias_ih_l{k}"] + w[f"rnn.bias_hh_l{k}"] for k in range(c.n_rnn)]
        durations = self.duration_sampler.sample(request) if self.duration_sampler else None
        states = f32(state_limit(w["h0"]))
        step, text_step = f32(1) / states, f32(1) / f32(activation_limit(2 * c.text_dim))
        h = [(to_integers(state, states).astype(np.int64), step) for state in w["h0"]]
        cells = list(w["c0"])
        code_step = f32(1) / f32(c.q_levels // 2)
        voice = add_rows(biases[0], of_speaker.T, w["speaker.weight"][request.speaker])
        past = np.zeros(max(H, F), np.int64)
        table = decode_table(c.q_levels, c.quantization).astype(f64)
        edges = code_edges(c.q_levels, c.quantization)
        low, high = c.pitch_lags
        taps, around = c.residual_taps, c.pitch_taps
        features = lag_features(c.pitch_lags)
        wave = np.zeros(max(c.lpc_window, c.lpc_order))
        residual = np.zeros(max(high + max(c.pitch_window, around), taps))
        log_codes = logarithm(c.q_levels)
        uniforms = Uniforms(request.seed, F)
        codes, ends, forced, unit, since = [], [], 0, 0, 0
        code = c.q_levels // 2
        temperature = f64(request.sampling.temperature)
        for frame in range(request.max_frames):
            row = uniforms.rows(1)[0]
            if since == 0:
                pulled = 0.5 + request.sampling.duration_spread * (float(row[-1]) - 0.5)
                threshold, survival = 1.0 - min(pulled, 1.0 - 2.0**-24), 1.0
                context = np.concatenate([embedded[unit], embedded[unit + 1]])
                base = self.multiply(voice, "text", context, text_step)
            gates = base + clock[min(since, c.clock_frames - 1)]
            if durations:
                gates = gates + left[min(abs(durations[unit]) - since - 1, c.clock_frames - 1)]
            a, scale = linear_predictor(wave[len(wave) - c.lpc_window :], c.lpc_order)
            lag, correlation = pitch(residual[len(residual) - c.pitch_window - high :], c.pitch_lags)
            analysis = f32([(logarithm(scale) + 4.0) / 4.2, correlation, features[lag - low]])
            gates = add_rows(gates, of_analysis.T, analysis)
            gates = self.multiply(gates, "frame", past[len(past) - F :], code_step)
            for k in range(c.n_rnn):
                if k:
                    gates = self.multiply(biases[k], f"rnn.weight_ih_l{k}", *h[k - 1])
                gates = self.multiply(gates, f"rnn.weight_hh_l{k}", *h[k])
                i, f, g, o = gates.reshape(4, c.dim)
                cells[k] = sigmoid(f) * cells[k] + sigmoid(i) * tanh(g)
                state = sigmoid(o) * tanh(cells[k])
                h[k] = np.rint(state * states).astype(np.int64), step
            places = self.multiply(w["upsample.bias"], "upsample.weight", *h[-1]).reshape(F, -1)
            filters = self.multiply(w["filter.bias"], "filter.weight", *h[-1])
            for place, uniform in zip(places, row[:F], strict=True):
                p = 0.0
                for k in range(c.lpc_order - 1, -1, -1):
                    p = p + a[k] * wave[len(wave) - 1 - k]
                recent = residual[-1 : -taps - 1 : -1]
                periodic = residual[len(residual) - lag - around :][: 2 * around + 1]
                ratios = np.clip(np.concatenate([recent, periodic]) / scale, -8.0, 8.0).astype(f32)
                center = f32(0)
                for ratio, factor in zip(ratios, filters, strict=True):
                    center = center + ratio * factor
                center = p + scale * f64(center)
                companded = np.sign(p) * (logarithm(1 + (c.q_levels - 1) * abs(p)) / log_codes)
                of_center = f32([companded, np.clip(p / (8.0 * scale), -8.0, 8.0)])
                x = place
                if c.upsample_rank:
                    x = self.multiply(np.zeros(c.sample_dim, f32), "conditioning.weight", *self.round_features(place))
                y = add_rows(x, w["residual_in.weight"].T, np.concatenate([ratios, of_center]))
                y = y + w["last_code.weight"][code]
                y = self.multiply(y, "history_in.weight", past[len(past) - H :], code_step)
                for k in range(c.sample_layers - 1):
                    y = self.multiply(
                        w[f"hidden.{k}.bias"],
                        f"hidden.{k}.weight",
                        *self.round_features(np.maximum(y, f32(0)), RELU_LIMIT),
                    )
                outputs = self.multiply(
                    w["output.bias"], "output.weight", *self.round_features(np.maximum(y, f32(0)), RELU_LIMIT)
                )
                code = draw(outputs, center, scale, uniform, temperature, edges)
                codes.append(code)
                wave = np.append(wave[1:], table[code])
                residual = np.append(residual[1:], table[code] - p)
                past = np.append(past[1:], code - c.q_levels // 2)
            since += 1
            if durations:
                over = durations[unit] == since
            else:
                integers, step = h[-1]
                products = integers.astype(f32) * f32(step) * w["advance.weight"][0]
                lanes = np.zeros(16, f32)
                for chunk in np.pad(products, (0, -len(products) % 16)).reshape(-1, 16):
                    lanes = lanes + chunk
                logit = running(lanes)[-1] + w["advance.bias"][0]
                survival /= 1.0 + float(two_to(np.full(1, logit * LOG2_E))[0])
                over = survival < threshold
            if over or since >= (abs(durations[unit]) if durations else unit_cap):
                forced += not over
                ends.append((frame + 1) * F)
                unit, since = unit + 1, 0
                if unit == len(vectors):
                    break
        return SynthesisResult(np.array(codes, np.int16), ends, "stop" if unit == len(vectors) else "cap", forced)


def draw(outputs, center, scale, uniform, temperature, edges):
    """The code of a uniform, from the parameters of a mixture."""
    log_weights, places, log_scales = outputs.reshape(3, -1)
    weights = two_to((log_weights - log_weights.max()) * (f32(1 / temperature) * LOG2_E))
    totals, total = [], f32(0)
    for weight in weights:
        total = total + weight
        totals.append(total)
    target = uniform * total
    k = min(sum(bool(one <= target) for one in totals), len(totals) - 1)
    inside = f64(target - (totals[k] - weights[k])) / f64(weights[k])
    inside = min(max(inside, 2.0**-26), 1 - 2.0**-26)
    sigma = f32(scale) * two_to(np.clip(log_scales[k : k + 1], f32(-7), f32(4)) * LOG2_E)[0]
    location = f32(center) + f32(scale) * places[k]
    value = f64(location) + temperature * f64(sigma) * logarithm(inside / (1 - inside))
    return int(np.searchsorted(edges, value, side="right"))
