"""Sequences: the stream depends on (seed, index) only and never says what is held out; the fixed splits say it all."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from data_recipes.corpus import Recording
from data_recipes.fsdd import build_recordings, split_of_take
from data_recipes.sequences import (
    FIXED_SPLITS,
    Sequence,
    SequenceOptions,
    SequenceStream,
    available_splits,
    fixed_split,
    join,
)
from data_recipes.splits import HOLD_OUTS, combination_split
from tts.core.errors import InputError

RATE = 8000


def recording(digit: int, speaker: str, take: int) -> Recording:
    audio = np.full(200 + 10 * digit + take, 0.1 * (digit + 1) / 10 + 0.2, np.float32)
    return Recording(audio, str(digit), speaker, take, RATE, f"{digit}_{speaker}_{take}")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[Recording]]:
    result: dict[str, list[Recording]] = {"train": [], "validation": [], "test": []}
    for speaker in ("anna", "ben"):
        for digit in range(10):
            for take in range(12):
                result[split_of_take(take)].append(recording(digit, speaker, take))
    return result


def same(a: Sequence, b: Sequence) -> bool:
    plain = [{**vars(item), "audio": item.audio.tobytes()} for item in (a, b)]
    return plain[0] == plain[1]


def test_join_keeps_boundaries_and_adds_dither_only() -> None:
    takes = [recording(4, "anna", 8), recording(7, "anna", 9), recording(2, "anna", 10)]
    options = SequenceOptions(long_gap_probability=0.0)
    item = join(takes, options, np.random.default_rng(3))
    assert (item.text, item.digits, item.speaker, item.sample_rate) == ("4 7 2", [4, 7, 2], "anna", RATE)
    assert item.takes == ["4_anna_8", "7_anna_9", "2_anna_10"]
    assert item.combination_split == combination_split([4, 7, 2])
    assert item.audio.dtype == np.float32 and item.boundaries[-1] == len(item.audio)
    speech = np.zeros(len(item.audio), np.float32)
    opening = int(np.flatnonzero(np.abs(item.audio) > 0.1)[0])
    assert options.edge_seconds[0] * RATE - 1 <= opening <= options.edge_seconds[1] * RATE + 2
    start = opening
    for number, (take, end) in enumerate(zip(takes, item.boundaries, strict=True)):
        speech[start : start + len(take.audio)] = take.audio  # a digit begins where its segment does
        low, high = options.edge_seconds if number == 2 else options.gap_seconds
        assert low * RATE - 1 <= end - start - len(take.audio) <= high * RATE + 1
        start = end
    noise = item.audio - speech
    assert np.abs(noise).max() < 6 * options.dither
    assert noise.std() == pytest.approx(options.dither, rel=0.1)


def test_stream_items_depend_on_seed_and_index_only(splits) -> None:
    options = SequenceOptions()
    stream, again = SequenceStream(splits["train"], options, 5), SequenceStream(splits["train"], options, 5)
    indices = [3, 10**12, 0, 77, 1]
    forward = [stream[index] for index in indices]
    backward = [again[index] for index in reversed(indices)][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))
    assert all(same(a, stream[number]) for number, a in enumerate(islice(again, 4)))
    assert not same(stream[3], SequenceStream(splits["train"], options, 6)[3])
    assert len({stream[index].audio.tobytes() for index in range(50)}) == 50
    with pytest.raises(IndexError):
        stream[-1]


@pytest.mark.parametrize("hold_outs", [(), ("unseen",), SequenceOptions().hold_outs, HOLD_OUTS])
def test_stream_says_nothing_held_out(splits, hold_outs: tuple[str, ...]) -> None:
    stream = SequenceStream(splits["train"], SequenceOptions(hold_outs=hold_outs), 0)
    items = [stream[index] for index in range(1500)]
    assert {combination_split(item.digits, hold_outs) for item in items} == {"seen"}
    assert {item.combination_split for item in items} == {"seen"}
    trained = {row.id for row in splits["train"]}
    assert all(set(item.takes) <= trained for item in items)
    assert all(name.split("_")[1] == item.speaker for item in items for name in item.takes)
    counts = Counter(len(item.digits) for item in items)
    lengths = 3 if "length" in hold_outs else 5
    assert sorted(counts) == list(range(1, lengths + 1))
    assert all(abs(count - 1500 / lengths) < 100 for count in counts.values())
    assert abs(Counter(item.speaker for item in items)["anna"] - 750) < 100


def test_options_narrow_what_is_drawn(splits) -> None:
    options = SequenceOptions(min_digits=2, max_digits=4, speakers=("ben",), length_weights=(0.0, 1.0, 3.0))
    items = list(islice(SequenceStream(splits["train"], options, 0), 400))
    counts = Counter(len(item.digits) for item in items)
    assert {item.speaker for item in items} == {"ben"}
    assert sorted(counts) == [3, 4] and counts[4] > 2 * counts[3]


def test_long_gaps_come_as_often_as_asked(splits) -> None:
    options = SequenceOptions(min_digits=5, long_gap_probability=0.3)
    stream, long, total = SequenceStream(splits["train"], options, 1), 0, 0
    for index in range(200):
        item = stream[index]
        lengths = {row.id: len(row.audio) for row in splits["train"]}
        spoken = [
            end - start - lengths[name]
            for start, end, name in zip(item.boundaries, item.boundaries[1:-1], item.takes[1:-1], strict=False)
        ]
        assert max(spoken) <= 0.35 * RATE + 1
        long += sum(gap > 0.12 * RATE + 1 for gap in spoken)
        total += len(spoken)
    assert long / total == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("split", FIXED_SPLITS)
def test_fixed_splits_are_what_they_say(splits, split: str) -> None:
    options = SequenceOptions()
    items = fixed_split(splits, options, split, 90, 4)
    assert len(items) == 90
    assert all(same(a, b) for a, b in zip(items, fixed_split(splits, options, split, 90, 4), strict=True))
    owner = {"validation": "seen", "test_seen": "seen", "length": "seen", "test_unseen": "unseen"}.get(split, split)
    assert {item.combination_split for item in items} == {owner}
    source = {row.id for row in splits["validation" if split == "validation" else "test"]}
    assert all(set(item.takes) <= source for item in items)
    lengths = Counter(len(item.digits) for item in items)
    least = {"length": 4, "repeat": 3, "validation": 1, "test_seen": 1}.get(split, 2)
    assert sorted(lengths) == list(range(least, 6))
    assert max(lengths.values()) - min(lengths.values()) <= 1
    assert Counter(item.speaker for item in items) == {"anna": 45, "ben": 45}
    for length, count in lengths.items():  # no combination twice before all of its length came once
        texts = Counter(item.text for item in items if len(item.digits) == length)
        assert len(texts) == count or max(texts.values()) - min(texts.values()) <= 1


def test_with_length_held_out_only_its_own_split_is_long(splits) -> None:
    options = SequenceOptions(hold_outs=HOLD_OUTS)
    for split in FIXED_SPLITS:
        lengths = {len(item.digits) for item in fixed_split(splits, options, split, 40, 0)}
        assert lengths <= ({4, 5} if split == "length" else {1, 2, 3})


def test_splits_without_a_combination_are_refused_and_left_out(splits) -> None:
    single = SequenceOptions(max_digits=1)
    assert available_splits(single) == ["validation", "test_seen"]
    two = available_splits(SequenceOptions(max_digits=2))
    assert two == ["validation", "test_seen", "test_unseen", "bigram", "position"]
    assert {item.text for item in fixed_split(splits, single, "test_seen", 10, 0)} == set("0123456789")
    with pytest.raises(InputError, match="raise max_digits"):
        fixed_split(splits, single, "test_unseen", 10, 0)
    with pytest.raises(InputError, match="choose among validation"):
        fixed_split(splits, single, "train", 10, 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"min_digits": 0},
        {"min_digits": 4, "max_digits": 3},
        {"gap_seconds": (0.2, 0.1)},
        {"edge_seconds": (-0.1, 0.1)},
        {"gap_seconds": (0.0, float("nan"))},
        {"long_gap_probability": 1.5},
        {"long_gap_seconds": -1.0},
        {"dither": 0.5},
        {"hold_outs": ("trigram",)},
        {"length_weights": (1.0,)},
        {"length_weights": (0.0,) * 5},
    ],
)
def test_options_out_of_range_are_refused(bad) -> None:
    with pytest.raises(InputError):
        SequenceOptions(**bad)


def test_what_cannot_be_drawn_is_refused(splits) -> None:
    with pytest.raises(InputError, match="'carl' has no recordings here; choose among anna, ben"):
        SequenceStream(splits["train"], SequenceOptions(speakers=("carl",)), 0)
    with pytest.raises(InputError, match="at most 3 words"):
        SequenceStream(splits["train"], SequenceOptions(min_digits=4, hold_outs=HOLD_OUTS), 0)
    with pytest.raises(InputError, match="no length"):
        SequenceStream(splits["train"], SequenceOptions(hold_outs=HOLD_OUTS, length_weights=(0, 0, 0, 1, 1)), 0)
    with pytest.raises(InputError, match="no recordings to join"):
        SequenceStream([], SequenceOptions(), 0)
    only_sevens = [row for row in splits["train"] if row.digit == 7]
    with pytest.raises(InputError, match="every combination of 3"):
        SequenceStream(only_sevens, SequenceOptions(min_digits=3, max_digits=3), 0)[0]


def test_real_recordings_make_whole_sequences(fsdd_dir) -> None:
    real = build_recordings(fsdd_dir, speakers=("jackson", "theo"))
    stream = SequenceStream(real["train"], SequenceOptions(max_digits=3), 0)
    for item in islice(stream, 100):
        assert np.abs(item.audio).max() < 1
        assert item.boundaries == sorted(item.boundaries) and item.boundaries[-1] == len(item.audio)
        for end in item.boundaries[:-1]:  # a segment ends at a faded edge, not in a click
            assert np.abs(np.diff(item.audio[end - 3 : end + 3])).max() < 0.02


def test_sequences_of_other_words() -> None:
    words = [f"word{number}" for number in range(40)]
    rows = {
        split: [replace(recording(0, speaker, 0), word=word, id=f"{word}_{speaker}") for speaker in ("anna", "ben")
                for word in words[: 40 if speaker == "anna" else 30]]
        for split in ("train", "validation", "test")
    }  # fmt: skip
    said = Counter(
        word for item in islice(SequenceStream(rows["train"], SequenceOptions(), 0), 1500) for word in item.words
    )
    assert set(said) == set(words)
    assert max(said.values()) < 4 * min(said.values())  # those that only anna has are half as frequent
    assert available_splits(SequenceOptions(), words) == list(FIXED_SPLITS)
    for split in FIXED_SPLITS:
        items = fixed_split(rows, SequenceOptions(max_digits=4), split, 20, 0)
        assert all(item.text == " ".join(item.words) for item in items)
        assert {word for item in items if item.speaker == "ben" for word in item.words} <= set(words[:30])
        assert Counter(item.speaker for item in items) == {"anna": 10, "ben": 10}
        assert all(set(item.words) < set(words) for item in items)
        if split in ("repeat", "bigram", "position"):
            assert {item.combination_split for item in items} == {split}
