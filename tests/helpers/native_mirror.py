"""What engine.c computes, written down again with numpy: slow, and the same bits.

Each float32 operation is one numpy operation, in the order that engine.c's header promises. Letters as there.
"""

import numpy as np

from tts import audio
from tts.generation.durations import DurationSampler
from tts.generation.features import clock_features, log_lags
from tts.generation.interface import SynthesisResult, Uniforms
from tts.generation.rounding import (
    LEAST,
    MOST,
    RELU_LIMIT,
    STATE_LIMIT,
    WEIGHT_LIMIT,
    first_columns,
    integer_rows,
    state_integers,
    weight_limit,
)

f32 = np.float32
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
    """Sums of the lanes so far, by doubling."""
    for shift in (1, 2, 4, 8):
        lanes = lanes + np.concatenate([np.zeros(shift, f32), lanes[:-shift]])
    return lanes


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
        limits = {name: weight_limit(name, c) for name in w}
        self.rounded = {name: integer_rows(w[name], limit) for name, limit in limits.items() if limit}
        frame, text, self.rest = first_columns(c, w["rnn.weight_ih_l0"])
        self.rounded["frame"], self.rounded["text"] = (
            integer_rows(frame, WEIGHT_LIMIT),
            integer_rows(text, WEIGHT_LIMIT),
        )
        if c.pitch_taps:
            scales, integers = self.rounded["pitch_in.weight"]
            self.rounded["taps"], self.correlation = (scales, integers[:, :-1]), scales * integers[:, -1]
            self.wave = audio.decode_table(c.q_levels, c.quantization).astype(np.float64)
        self.duration_sampler = DurationSampler(c, w) if c.duration == "explicit" else None

    def multiply(self, start, name, a, step):
        scales, integers = self.rounded[name]
        sums = integers.astype(np.int64) @ np.asarray(a, np.int64)
        assert np.abs(sums).max() < 2**31
        return start + sums.astype(f32) * (scales * f32(step))

    def round_features(self, x, limit=STATE_LIMIT):
        limit = f32(limit)
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
        embedded.append(np.tanh(w["end"].astype(np.float64)).astype(f32))
        return [state_integers(one).astype(np.int64) for one in embedded]

    def clock_gates(self, columns):
        c = self.c
        features = clock_features(c.clock_frames, c.clock_dim)
        return [add_rows(np.zeros(4 * c.dim, f32), columns.T, row) for row in features]

    def find_pitch(self, past):
        """The lag and the correlation before a frame."""
        V, (low, high) = self.c.pitch_window, self.c.pitch_lags
        x = self.wave[past[len(past) - V - high :] + self.c.q_levels // 2]
        squares = np.concatenate([[0.0], np.cumsum(x * x)])
        best = None, -(2.0**32)
        for lag in range(low, high + 1):
            begin = high - lag
            cross = np.cumsum(x[high:] * x[begin : begin + V])[-1]
            energy = np.sqrt((squares[begin + V] - squares[begin]) * (squares[-1] - squares[high])) + V * (3e-4 * 3e-4)
            steps = np.rint(cross / energy * 2**16)
            if steps > best[1]:
                best = lag, steps
        return best[0], f32(best[1] / 2**16)

    def add_past(self, y, past, taps, correlation, gate):
        """y + what the first layer gets of the past samples."""
        H, code_step = self.c.hist_size, f32(1) / f32(self.c.q_levels // 2)
        if not self.c.pitch_taps:
            return self.multiply(y, "history_in.weight", past[len(past) - H :], code_step)
        of_past = self.multiply(correlation * self.correlation, "history_in.weight", past[len(past) - H :], code_step)
        return y + self.multiply(of_past, "taps", taps, code_step) * gate

    def survived(self, integers, step):
        """1 / P(the unit goes on after a frame), of the top layer's state."""
        products = integers.astype(f32) * f32(step) * self.w["advance.weight"][0]
        lanes = np.zeros(16, f32)
        for chunk in np.pad(products, (0, -len(products) % 16)).reshape(-1, 16):
            lanes = lanes + chunk
        logit = running(lanes)[-1] + self.w["advance.bias"][0]
        return 1.0 + float(two_to(np.full(1, logit * LOG2_E))[0])

    def generate(self, requests):
        return [self.make(request) for request in requests]

    def make(self, request):
        c, w = self.c, self.w
        F, J, lag, correlation, gate = c.frame_size, c.pitch_taps, 0, None, None
        vectors = np.asarray(request.units, f32)
        if c.conditioning == "pooled":
            vectors = (np.cumsum(vectors.astype(np.float64), axis=0)[-1:] / len(vectors)).astype(f32)
        embedded = self.embed(vectors)
        unit_cap = request.max_unit_frames if c.conditioning == "pointer" else request.max_frames + 1
        of_speaker, clocks = self.rest[:, : c.speaker_dim], self.rest[:, c.speaker_dim :]
        clock = self.clock_gates(clocks[:, : c.clock_dim])
        left = self.clock_gates(clocks[:, c.clock_dim : 2 * c.clock_dim]) if self.duration_sampler else None
        biases = [w[f"rnn.bias_ih_l{k}"] + w[f"rnn.bias_hh_l{k}"] for k in range(c.n_rnn)]
        durations = self.duration_sampler.sample(request) if self.duration_sampler else None
        step = f32(1) / f32(STATE_LIMIT)
        h = [(state_integers(state).astype(np.int64), step) for state in w["h0"]]
        cells = list(w["c0"])
        middle = f32(c.q_levels // 2)
        voice = add_rows(biases[0], of_speaker.T, w["speaker.weight"][request.speaker])
        past = np.zeros(max(c.hist_size, F, c.pitch_window + c.pitch_lags[1]), np.int64)
        uniforms = Uniforms(request.seed, F)
        codes, ends, forced, unit, since = [], [], 0, 0, 0
        code = c.q_levels // 2
        inverse_temperatures = (1 / request.temperatures()).astype(f32)
        for frame in range(request.max_frames):
            row = uniforms.rows(1)[0]
            if since == 0:
                pulled = 0.5 + request.sampling.duration_spread * (float(row[-1]) - 0.5)
                threshold, survival = 1.0 - min(pulled, 1.0 - 2.0**-24), 1.0
                context = np.concatenate([embedded[unit], embedded[unit + 1]])
                base = self.multiply(voice, "text", context, step)
            gates = base + clock[min(since, c.clock_frames - 1)]
            if durations:
                gates = gates + left[min(abs(durations[unit]) - since - 1, c.clock_frames - 1)]
            if J:
                lag, correlation = self.find_pitch(past)
                inputs = correlation, log_lags(c.pitch_lags)[lag - c.pitch_lags[0]]
                gates = add_rows(gates, self.rest[:, -2:].T, inputs)
            previous = state_integers(past[len(past) - F :].astype(f32) / middle)
            gates = self.multiply(gates, "frame", previous, step)
            for k in range(c.n_rnn):
                if k:
                    gates = self.multiply(biases[k], f"rnn.weight_ih_l{k}", *h[k - 1])
                gates = self.multiply(gates, f"rnn.weight_hh_l{k}", *h[k])
                i, f, g, o = gates.reshape(4, c.dim)
                cells[k] = sigmoid(f) * cells[k] + sigmoid(i) * tanh(g)
                state = sigmoid(o) * tanh(cells[k])
                h[k] = np.rint(state * f32(STATE_LIMIT)).astype(np.int64), step
            places = self.multiply(w["upsample.bias"], "upsample.weight", *h[-1]).reshape(F, -1)
            if J:
                gate = f32(2) * sigmoid(self.multiply(w["gate.bias"], "gate.weight", *h[-1]))
            for place, uniform in zip(places, row[:F], strict=True):
                x = place
                if c.upsample_rank:
                    x = self.multiply(np.zeros(c.sample_dim, f32), "conditioning.weight", *self.round_features(place))
                y = x + w["last_code.weight"][code]
                begin = len(past) - lag - J // 2
                y = self.add_past(y, past, past[begin : begin + J], correlation, gate)
                for k in range(c.sample_layers - 1):
                    y = self.multiply(
                        w[f"hidden.{k}.bias"],
                        f"hidden.{k}.weight",
                        *self.round_features(np.maximum(y, f32(0)), RELU_LIMIT),
                    )
                logits = self.multiply(
                    w["output.bias"], "output.weight", *self.round_features(np.maximum(y, f32(0)), RELU_LIMIT)
                )
                code = draw(logits, uniform, inverse_temperatures[unit])
                codes.append(code)
                past = np.append(past[1:], code - c.q_levels // 2)
            since += 1
            if durations:
                over = durations[unit] == since
            else:
                survival /= self.survived(*h[-1])
                over = survival < threshold
            if over or since >= (abs(durations[unit]) if durations else unit_cap):
                forced += not over
                ends.append((frame + 1) * F)
                unit, since = unit + 1, 0
                if unit == len(vectors):
                    break
        return SynthesisResult(np.array(codes, np.int16), ends, "stop" if unit == len(vectors) else "cap", forced)


def draw(logits, uniform, inverse_temperature):
    """Codes lie in 16 lanes of `depth` neighbors."""
    depth = -(-len(logits) // 64) * 4
    wide = np.full(16 * depth, -1e30, f32)
    wide[: len(logits)] = logits
    lanes = wide.reshape(16, depth)
    weights = two_to((lanes - wide.max()) * (inverse_temperature * LOG2_E))
    sums = weights[:, 0].copy()
    for d in range(1, depth):
        sums = sums + weights[:, d]
    totals = running(sums)
    target = uniform * totals[-1]
    part = int((totals[:15] <= target).sum())
    total = totals[part - 1] if part else f32(0)
    inside = 0
    for d in range(depth):
        total = total + weights[part, d]
        inside += bool(total <= target)
    code = part * depth + inside
    if inside < depth and code < len(logits):
        return code
    code = min((part + 1) * depth, len(logits)) - 1
    while code > 0 and weights.reshape(-1)[code] <= totals[-1] * f32(1e-9):
        code -= 1
    return code
