"""Small models, requests for them, and comparisons, for the tests of the engines.

Letters: B requests, N frames, F = frame_size, Q levels.
"""

import dataclasses
import itertools

import numpy as np
import torch

from tts.core.sampling import Sampling
from tts.generation.family import unsupported
from tts.generation.interface import SynthesisRequest, Uniforms, duration_threshold
from tts.generation.rounded import RoundedTwoTier
from tts.generation.torch_engine import TorchEngine
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier

SMALL = TwoTierConfig(
    q_levels=64,
    frame_size=8,
    dim=24,
    sample_dim=20,
    hist_size=13,
    embedding_dim=4,
    word_dim=12,
    text_dim=6,
    n_speakers=3,
    speaker_dim=4,
    clock_dim=4,
    clock_frames=20,
    upsample_rank=0,
    duration="implicit",
    units_per_word=1,
)
VARIANTS = [
    {"cell": cell, "n_rnn": n_rnn, "history": history, "conditioning": conditioning, "sample_layers": layers}
    for cell, n_rnn, history, conditioning, layers in itertools.product(
        ("lstm", "gru"), (1, 2), ("real", "embedding"), ("pointer", "pooled"), (1, 3)
    )
] + [
    {"clock_dim": 0},
    {"upsample_rank": 5},
    {"upsample_rank": 5, "history": "embedding", "cell": "gru"},
    {"duration": "explicit"},
    {"hist_size": 3},
    {"frame_size": 1},
    {"frame_size": 40, "hist_size": 5},
    # No width is a multiple of 8 or 16, the strides of the compiled loops.
    {"frame_size": 7, "hist_size": 9, "dim": 27, "sample_dim": 13, "q_levels": 46, "n_rnn": 2, "sample_layers": 3},
    {"q_levels": 10},
    {"quantization": "linear", "q_levels": 300},
    {"pitch_taps": 3, "pitch_lags": (5, 20), "pitch_window": 16},
    {"pitch_taps": 3, "pitch_lags": (5, 20), "pitch_window": 16, "duration": "explicit", "n_rnn": 2},
    {"pitch_taps": 6, "pitch_lags": (4, 37), "pitch_window": 45, "frame_size": 40, "upsample_rank": 5},
    {"pitch_taps": 1, "pitch_lags": (2, 2), "pitch_window": 16, "hist_size": 3, "clock_dim": 0},
    {"duration": "explicit", "duration_dim": 10},
    {"duration": "explicit", "duration_dim": 3, "cell": "gru", "n_rnn": 2, "upsample_rank": 5},
    {"duration": "explicit", "duration_dim": 3, "upsample_rank": 5, "frame_size": 16},
    # As above, in what the native engine supports.
    {"frame_size": 7, "hist_size": 9, "dim": 27, "sample_dim": 13, "q_levels": 46, "sample_layers": 3},
]
NATIVE = [options for options in VARIANTS if unsupported(dataclasses.replace(SMALL, **options)) is None]
"""Those that the native engine supports."""


def named(options):
    """A test's name for the options of a variant."""
    return "-".join(map(str, options.values())) or "default"


def torch_engine(model):
    return TorchEngine(model, "cpu")


def make_model(seed=0, hazard=-2.5, **options):
    """A model that has not learned anything, but with weights large enough for every part to matter."""
    torch.manual_seed(seed)
    model = TwoTier(dataclasses.replace(SMALL, **options))
    for weight in model.parameters():
        weight.data.mul_(1.5)
    torch.nn.init.normal_(model.h0)
    if model.config.pitch_taps:  # zeros, else
        for weight in (model.pitch_in.weight, model.gate.weight, model.gate.bias):
            torch.nn.init.normal_(weight, std=0.5)
    if model.config.cell == "lstm":
        torch.nn.init.normal_(model.c0)
    torch.nn.init.constant_(model.advance.bias, hazard)
    return model


def arrays(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def make_requests(model, max_frames=40, max_unit_frames=15, sampling=None):
    rng = np.random.default_rng(0)
    return [
        SynthesisRequest(
            units=rng.normal(size=(n_units, model.config.word_dim)).astype(np.float32),
            speaker=n_units % model.config.n_speakers,
            seed=seed,
            max_frames=max_frames,
            max_unit_frames=max_unit_frames,
            sampling=sampling or Sampling(temperature=0.8, nucleus_temperature=0.6),
            nuclei=range(1, n_units, 2),
        )
        for n_units, seed in ((1, 0), (3, 5), (5, 2**64 - 1))
    ]


def teacher_forced(model, requests, made):
    """Logits (B, N, F, Q) and advance logits (B, N) of generated codes fed back, as one padded batch."""
    frame = model.config.frame_size
    frames = max(len(one.codes) for one in made) // frame
    more = 0
    codes = torch.zeros(len(made), frames * frame, dtype=torch.int64)
    pointer = torch.zeros(len(made), frames, dtype=torch.int64)
    units = torch.zeros(len(made), max(len(r.units) for r in requests), model.config.word_dim)
    for i, (request, one) in enumerate(zip(requests, made, strict=True)):
        codes[i, : len(one.codes)] = torch.from_numpy(one.codes.astype(np.int64))
        units[i, : len(request.units)] = torch.from_numpy(request.units)
        if model.config.conditioning == "pointer":
            place = np.searchsorted(one.unit_ends, np.arange(frames) * frame, side="right")
            pointer[i] = torch.from_numpy(place)
            begun = one.unit_ends[-1:] != [len(one.codes)]
            if model.config.duration == "explicit" and one.stop_reason == "cap" and begun:
                # What was left of the segment that the cap cut: more frames than were made.
                missing = abs(explicit_durations(model, request)[len(one.unit_ends)]) - int(
                    (pointer[i] == pointer[i, -1]).sum()
                )
                assert missing > 0
                more = max(more, missing)
    codes = torch.nn.functional.pad(codes, (0, more * frame))
    pointer = torch.nn.functional.pad(pointer, (0, more), mode="replicate")
    n_units = torch.tensor([len(r.units) for r in requests])
    speakers = torch.tensor([r.speaker for r in requests])
    computed = model if unsupported(model.config) else RoundedTwoTier(model)  # as the engines compute it
    with torch.inference_mode():
        return computed(codes, units, n_units, pointer, speakers)


def explicit_durations(model, request):
    """The frames of each unit, negative where cut, by the model's advance logits and the durations' own RNG stream."""
    units = torch.from_numpy(request.units)[None]
    rng, frames = np.random.Generator(np.random.Philox(key=request.seed).jumped()), []
    n = torch.tensor([len(request.units)])
    for unit in range(len(request.units)):
        pointer = torch.full((1, request.max_unit_frames), unit)
        codes = torch.zeros(1, request.max_unit_frames * model.config.frame_size, dtype=torch.int64)
        with torch.inference_mode():
            output = model(codes, units, n, pointer, torch.tensor([request.speaker]))
        summed = torch.nn.functional.softplus(output.advance_logits[0].double()).cumsum(0).tolist()
        threshold = duration_threshold(rng.random(dtype=np.float32), request.sampling.duration_spread)
        over = [total > threshold for total in summed]
        frames.append(over.index(True) + 1 if any(over) else -len(over))
    return frames


def assert_drawn_from(logits, request, one, frame):
    """Each code is the inverse CDF of the logits at its uniform, up to rounding."""
    unit = np.searchsorted(one.unit_ends, np.arange(len(one.codes)), side="right")
    temperatures = request.temperatures()[unit, None]
    scaled = logits.double().numpy().reshape(-1, logits.shape[-1])[: len(one.codes)] / temperatures
    p = np.exp(scaled - scaled.max(1, keepdims=True))
    running = np.cumsum(p / p.sum(1, keepdims=True), axis=1)
    u = Uniforms(request.seed, frame).rows(len(one.codes) // frame)[:, :frame].reshape(-1).astype(np.float64)
    place = np.arange(len(u))
    above = running[place, one.codes]
    below = np.where(one.codes > 0, running[place, one.codes - 1], 0.0)
    assert (u < above + 1e-4).all()
    assert (u > below - 1e-4).all()


def assert_same(model, requests, ours, theirs):
    """The same utterances; where a sample differs, its uniform fell on the border between two codes."""
    ties = 0
    for request, a, b in zip(requests, ours, theirs, strict=True):
        if np.array_equal(a.codes, b.codes):
            assert (a.unit_ends, a.stop_reason, a.forced_advances) == (b.unit_ends, b.stop_reason, b.forced_advances)
        else:
            ties += 1
            for one in (a, b):
                forced = teacher_forced(model, [request], [one])
                assert_drawn_from(forced.logits[0], request, one, model.config.frame_size)
                assert advances(forced.advance_logits[0], request, one, model.config) == one.unit_ends
    assert ties <= 1, "more than one utterance hit a floating-point tie"


def advances(logits, request, one, config):
    """Where the segments of an utterance end, by the advance rule, from its teacher-forced advance logits."""
    if config.duration == "explicit":
        return one.unit_ends  # see test_explicit_durations
    frames = len(one.codes) // config.frame_size
    u = Uniforms(request.seed, config.frame_size).rows(frames)[:, -1]
    ends, hazard, since = [], 0.0, 0
    for n in range(frames):
        if since == 0:
            hazard, threshold = 0.0, duration_threshold(u[n], request.sampling.duration_spread)
        hazard += float(torch.nn.functional.softplus(logits[n]))
        since += 1
        if hazard > threshold or (config.conditioning == "pointer" and since == request.max_unit_frames):
            ends.append((n + 1) * config.frame_size)
            since = 0
    return ends


def make_requests_of_all_lengths(model, count, max_frames=60):
    """Texts of all lengths, so that places become free at all times."""
    rng = np.random.default_rng(1)
    return [
        SynthesisRequest(
            units=rng.normal(size=(rng.integers(1, 6), model.config.word_dim)).astype(np.float32),
            speaker=int(rng.integers(model.config.n_speakers)),
            seed=seed,
            max_frames=int(rng.integers(1, max_frames)),
            max_unit_frames=15,
            sampling=Sampling(temperature=float(rng.uniform(0.6, 1.2)), duration_spread=float(rng.uniform())),
        )
        for seed in range(count)
    ]


def assert_equal(ours, theirs):
    """Bit by bit."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.codes, b.codes)
        assert (a.unit_ends, a.stop_reason, a.forced_advances) == (b.unit_ends, b.stop_reason, b.forced_advances)
