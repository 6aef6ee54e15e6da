"""Batches: alignment, padding, loss frames, corrupted pauses, pools."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.training import MODEL, Tones, tone, vectors

from tts.core.errors import InputError
from tts.models.two_tier import TwoTier
from tts.text.units import unit_ends, unit_vectors
from tts.training.batches import Batches, Collate, segment_ends
from tts.training.config import LossConfig, RunConfig, TrainConfig
from tts.training.losses import Objective


def test_segment_ends():
    assert segment_ends([100, 320, 500], 32, 16).tolist() == [6, 20, 32]
    # Segments shorter than a frame, at the beginning, in the middle, at the end.
    assert segment_ends([1, 2, 500], 32, 16).tolist() == [1, 2, 32]
    assert segment_ends([100, 103, 104, 500], 32, 16).tolist() == [4, 5, 6, 32]
    assert segment_ends([490, 508, 510], 32, 16).tolist() == [30, 31, 32]


def test_batch_aligns_words_and_frames():
    sequences = [tone([3, 1], 0), tone([2], 1, "b")]
    batch = Collate(MODEL, ("a", "b"), vectors)(sequences, np.random.default_rng(0))
    F = MODEL.frame_size
    N = batch.pointer.shape[1]
    assert batch.codes.shape == (2, N * F)
    assert batch.units[0].argmax(-1).tolist() == [3, 1]
    assert batch.n_units.tolist() == [2, 1]
    assert batch.speaker.tolist() == [0, 1]
    segment = round(sequences[0].boundaries[0] / F)
    assert batch.pointer[0].tolist() == [0] * segment + [1] * (N - segment)
    assert batch.advance[0].nonzero().flatten().tolist() == [segment - 1, N - 1]
    # In the padding the pointer has left the text, so that nobody takes it for a part of the last word.
    ended = -(-len(sequences[1].audio) // F)
    assert batch.pointer[1].tolist() == [0] * ended + [1] * (N - ended)
    frames = -(-len(sequences[1].audio) // F)
    assert batch.valid[1].sum() == frames
    assert batch.advance[1].nonzero().flatten().tolist() == [frames - 1]
    assert (batch.codes[1, frames * F :] == 128).all()
    assert len(batch.loss_frames) == batch.valid.sum()
    assert batch.keep_frame.all()


def test_codes_are_of_the_emphasized_wave():
    sequence = tone([3, 1], 0)
    plain, emphasized = (
        Collate(replace(MODEL, pre_emphasis=a), ("a", "b"), vectors)([sequence], np.random.default_rng(0))
        for a in (0.0, 0.85)
    )
    assert (plain.codes != emphasized.codes).any()
    back = replace(MODEL, pre_emphasis=0.85).coding.decode(emphasized.codes[0].numpy())[: len(sequence.audio)]
    assert np.abs(back - sequence.audio).max() < 0.05
    assert emphasized.pointer.equal(plain.pointer) and emphasized.advance.equal(plain.advance)


def test_batch_of_syllable_parts():
    sequence = tone([3, 1], 0)
    batch = Collate(replace(MODEL, units_per_word=4), ("a", "b"), vectors)(
        [sequence, tone([2], 1)], np.random.default_rng(0)
    )
    assert batch.n_units.tolist() == [9, 5]
    assert torch.equal(batch.units[0], torch.from_numpy(unit_vectors(vectors([["3", "1"]])[0], 4)))
    assert batch.units[1, 5:].abs().sum() == 0
    F = MODEL.frame_size
    ends = segment_ends(unit_ends(sequence.audio, sequence.boundaries, 8000), -(-len(sequence.audio) // F), F)
    assert batch.advance[0].nonzero().flatten().tolist() == (ends - 1).tolist()
    assert batch.pointer[0].unique().tolist() == list(range(9))
    # The words' own ends are among them.
    whole = Collate(MODEL, ("a", "b"), vectors)([sequence], np.random.default_rng(0))
    assert batch.advance[0].nonzero().flatten()[4::4].tolist() == whole.advance[0].nonzero().flatten().tolist()


def test_frames_where_silence_ends_or_begins_are_always_loss_frames():
    F = MODEL.frame_size
    quiet, hiss = np.zeros(320, np.float32), np.tile(np.float32([0.1, -0.1]), 80)
    word = np.concatenate([hiss, np.sin(0.2 * np.arange(320)).astype(np.float32), hiss])
    wave = np.concatenate([quiet, word, quiet, word, quiet])
    sequence = replace(tone([3, 1], 0), audio=wave, boundaries=[1280, 2240])
    edges = {place // F + k for place in (320, 960, 1280, 1920) for k in (0, 1)}
    frames = 2240 // F
    collate = Collate(replace(MODEL, units_per_word=4), ("a", "b"), vectors, frame_share=0.2)
    chosen = [set(collate([sequence], np.random.default_rng(seed)).loss_frames.tolist()) for seed in range(30)]
    for one in chosen:
        assert len(one) == round(0.2 * frames)
        assert edges < one
    assert len(set().union(*chosen)) > 0.9 * frames
    batch = collate([sequence], np.random.default_rng(0))
    assert batch.n_units.tolist() == [9]
    assert batch.pointer[0].bincount()[::4].tolist() == [320 // F] * 3
    assert len(replace(collate, frame_share=0.05)([sequence], np.random.default_rng(0)).loss_frames) == round(
        0.05 * frames
    )
    without = replace(collate, model=MODEL)
    assert not all(
        edges < set(without([sequence], np.random.default_rng(seed)).loss_frames.tolist()) for seed in range(9)
    )


def test_pause_corruption_changes_inputs_but_not_targets():
    """The codes stay; the inputs differ in a share of the pauses, and nowhere else."""
    F, config = MODEL.frame_size, replace(MODEL, units_per_word=4)
    quiet, hiss = np.zeros(640, np.float32), np.tile(np.float32([0.1, -0.1]), 80)
    sound = np.concatenate([hiss, np.sin(0.2 * np.arange(320)).astype(np.float32), hiss])
    wave = np.concatenate([quiet, sound, quiet, sound, quiet])
    sequence = replace(tone([3, 1], 0), audio=wave, boundaries=[1920, 3200])
    clean = Collate(config, ("a", "b"), vectors)([sequence], np.random.default_rng(0))
    assert clean.inputs is clean.codes
    pauses = (clean.pointer[0] % 4 == 0).repeat_interleave(F)
    assert pauses.tolist() == [i // 640 % 2 == 0 for i in range(3200)]
    collate = Collate(config, ("a", "b"), vectors, pause_corruption=0.5)
    corrupted, loudest = torch.zeros(len(pauses), dtype=torch.int64), 0.0
    spans = []
    for seed in range(200):
        batch = collate([sequence], np.random.default_rng(seed))
        assert torch.equal(batch.codes, clean.codes)
        other = (batch.inputs != batch.codes)[0]
        assert not other[~pauses].any()
        corrupted += other
        loudest = max(loudest, abs(int(batch.inputs[0][pauses].max()) - 128))
        for pause in other[pauses].view(3, 640):
            if pause.any():
                places = pause.nonzero()
                spans.append(int(places[-1] - places[0]) + 1)
    assert 0.33 < len(spans) / 600 < 0.5  # half, but for those that are a copy of silence
    assert max(spans) <= 0.05 * 8000
    assert loudest > 100  # as loud as speech
    assert (corrupted[pauses] > 0).float().mean() > 0.95
    # The model's input has it, the loss's target has not.
    objective = Objective(TwoTier(config).eval(), LossConfig(spectral_weight=0), 8000)
    batch = replace(batch, inputs=batch.codes.flip(1))
    expected = objective(replace(batch, codes=batch.inputs))
    assert objective(batch).nll != expected.nll
    output = objective.model(batch.inputs, batch.units, batch.n_units, batch.pointer, batch.speaker, batch.loss_frames)
    target = batch.codes.unflatten(1, (-1, F)).flatten(0, 1)[batch.loss_frames]
    nll = torch.nn.functional.cross_entropy(output.logits.flatten(0, -2), target.flatten(), reduction="sum")
    assert torch.allclose(objective(batch).nll, nll)


def test_pause_corruption_needs_pauses():
    with pytest.raises(InputError, match=r"pause_corruption is 0\.1; it needs pauses"):
        RunConfig(model=MODEL, train=TrainConfig(pause_corruption=0.1))


def test_pooled_batch_stops_once():
    collate = Collate(replace(MODEL, conditioning="pooled"), ("a", "b"), vectors)
    batch = collate([tone([3, 1], 0)], np.random.default_rng(0))
    assert batch.advance[0].nonzero().flatten().tolist() == [batch.valid.shape[1] - 1]


def test_loss_frames_and_dropout_are_drawn_within_the_sequences():
    collate = Collate(MODEL, ("a", "b"), vectors, frame_share=0.25, frame_dropout=0.5)
    batches = Batches(Tones(), collate, 4, seed=5)
    again = Batches(Tones(), collate, 4, seed=5)[3]
    batch = batches[3]
    assert torch.equal(batch.loss_frames, again.loss_frames)
    assert torch.equal(batch.keep_frame, again.keep_frame)
    assert batch.valid.flatten()[batch.loss_frames].all()
    assert abs(len(batch.loss_frames) / int(batch.valid.sum()) - 0.25) < 0.05
    assert 0.3 < batch.keep_frame.float().mean() < 0.7
    assert not torch.equal(batches[2].codes, batch.codes)


def test_word_noise_is_drawn_and_measured_by_each_vector():
    clean = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors), 4, seed=5)[3]
    noisy = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors, word_noise=0.5), 4, seed=5)[3]
    again = Batches(Tones(), Collate(MODEL, ("a", "b"), vectors, word_noise=0.5), 4, seed=5)[3]
    assert torch.equal(noisy.units, again.units)
    said = torch.arange(clean.units.shape[1]) < clean.n_units[:, None]
    noise = (noisy.units - clean.units)[said] / clean.units[said].std(dim=1, correction=0, keepdim=True)
    assert abs(noise.std() - 0.5) < 0.1
    assert not noisy.units[~said].any()
    assert torch.equal(clean.codes, noisy.codes)


def test_buckets_sort_without_losing_any():
    collate = Collate(MODEL, ("a", "b"), vectors)

    def frames(bucket, numbers):
        batches = Batches(Tones(), collate, 2, seed=5, bucket=bucket)
        return np.array([batches[i].valid.sum(1).tolist() for i in numbers])  # (batches, 2)

    plain, bucketed = frames(1, range(8)), frames(4, range(8))
    for half in (slice(0, 4), slice(4, 8)):
        assert sorted(plain[half].flatten()) == sorted(bucketed[half].flatten())
    assert bucketed.max(1).sum() < plain.max(1).sum()
    assert (frames(4, [6, 1, 3]) == bucketed[[6, 1, 3]]).all()
