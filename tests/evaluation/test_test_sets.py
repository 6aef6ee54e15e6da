"""Test sets: what texts are drawn, and the real recordings of each."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import pytest
from helpers.untrained_voice import NAMES

from data_recipes.fsdd import build_recordings
from data_recipes.sequences import SequenceOptions, count_combinations
from data_recipes.splits import combination_split
from tts.core.errors import InputError
from tts.evaluation.test_sets import (
    FILES,
    LONG_DIGITS,
    SPLITS_OF,
    Trained,
    check_splits,
    draw_free,
    for_texts,
    from_dataset,
    from_source,
    shared_speakers,
)


def test_material_of_a_corpus(material):
    assert list(material.splits) == list(SPLITS_OF["digit"])
    for name, items in material.splits.items():
        assert len(items) == 5
        assert {item.speaker for item in items} == {"theo"}
        for item in items:
            assert all(take.endswith(tuple(f"_{k}" for k in range(5))) for take in item.takes)
            if name == "single":
                assert len(item.digits) == 1
            if name == "test_unseen":
                assert combination_split(item.digits) == "unseen"
            if name in LONG_DIGITS:
                low, high = LONG_DIGITS[name]
                assert low <= len(item.digits) <= high
    assert [len(item.digits) for item in material.splits["any"]] == [1, 2, 3, 4, 5]
    assert [item.text for item in material.splits["words"]] == [
        " ".join(NAMES[digit] for digit in item.digits) for item in material.splits["test_seen"]
    ]
    longest = max(len(item.audio) for item in material.splits["test_seen"]) / 8000
    assert 0.3 < material.limits.segment_seconds < longest
    assert 0.05 < material.limits.trailing_seconds < 0.3


def test_material_keeps_to_how_the_voice_was_trained():
    sequences = {"max_digits": 3, "gap_seconds": [0.01, 0.02], "hold_outs": ["unseen", "length"]}
    trained = Trained.of({"config": {"data": {"sequences": sequences, "recordings": {"level_dbfs": -30.0}}}})
    options = trained.options()
    assert options.gap_seconds == (0.01, 0.02)
    assert (options.min_digits, options.max_digits, options.hold_outs) == (1, 5, ("unseen",))
    assert trained.recordings.level_dbfs == -30.0
    assert Trained.of({}) == Trained()
    with pytest.raises(InputError, match="max_digit"):
        Trained.of({"config": {"data": {"sequences": {"max_digit": 3}}}})


def test_what_the_voice_may_know_from_training_is_noted(corpus):
    trained = Trained(sequences=SequenceOptions(max_digits=3, hold_outs=("unseen",)))
    notes = from_source(corpus, ["test_unseen", "bigram"], 2, 0, ["theo"], 8000, trained).notes
    assert len(notes) == 2
    assert notes[0].startswith("bigram") and "at most 3 digits" in notes[1]


def test_material_of_a_dataset(dataset):
    found = from_dataset(dataset, SPLITS_OF["digit"], 2, 0, ["theo"], 8000)
    assert {name: len(items) for name, items in found.splits.items()} == dict.fromkeys(SPLITS_OF["digit"], 2)
    assert all(len(item.digits) == 1 for item in (*found.splits["single"], *found.reference))
    assert len(found.reference) > 2
    for name, (low, high) in LONG_DIGITS.items():
        assert all(low <= len(item.digits) <= high for item in found.splits[name])
    assert [len(item.digits) for item in found.splits["any"]] == [1, 2]
    assert all(item.boundaries[-1] == len(item.audio) for items in found.splits.values() for item in items)
    assert found.limits.segment_seconds > 0.3


def test_any_text_is_drawn_uniformly(corpus):
    options = SequenceOptions(max_digits=2)
    recordings = build_recordings(corpus, speakers=("theo",))["test"]
    recordings += [replace(item, speaker="ann") for item in recordings]
    drawn = draw_free(recordings, options, "any", 4000, 7)
    texts = [(item.speaker, item.text) for item in drawn]
    assert {text for _, text in texts} == {*map(str, range(10)), *(f"{a} {b}" for a in range(10) for b in range(10))}
    assert Counter(speaker for speaker, _ in texts) == {"ann": 2000, "theo": 2000}
    assert Counter(len(text) for _, text in texts) == {1: 2000, 3: 2000}
    assert all(70 < texts.count((speaker, "4")) < 130 for speaker in ("ann", "theo"))  # 100 each
    # Item i is the same whenever it is asked for, and however many there are.
    assert (drawn[17].audio == draw_free(recordings, options, "any", 18, 7)[17].audio).all()
    assert [(item.speaker, item.text) for item in drawn[:5]] == texts[:5]
    with pytest.raises(IndexError):
        drawn[4000]


def test_ten_thousand_texts_are_not_kept(corpus):
    texts = from_source(corpus, ["any"], 10_000, 0, ["theo"], 8000).splits["any"]
    assert len(texts) == 10_000
    assert len(texts[9_999].digits) == 5
    tracemalloc.start()
    for index in range(0, 10_000, 20):
        assert len(texts[index].audio)
    assert tracemalloc.get_traced_memory()[1] < 5e6  # a sequence, not five hundred
    tracemalloc.stop()


def test_combinations_are_counted():
    assert count_combinations(SequenceOptions(max_digits=3), "test_unseen") == 87
    assert count_combinations(SequenceOptions(max_digits=3), "repeat") == 10
    assert count_combinations(SequenceOptions(max_digits=3), "test_seen", most=50) == 50


def test_texts_of_a_manifest_are_joined(corpus, monkeypatch):
    monkeypatch.setattr("tts.evaluation.test_sets.SPEAKERS", ("theo",))
    monkeypatch.setattr("data_recipes.fsdd.SPEAKERS", ("theo",))
    real = for_texts(["4 7", "two"], corpus, 0)
    assert [item.digits for item in real.splits[FILES]] == [[4, 7], [2]]
    assert real.limits.segment_seconds > 0
    assert real.reference == []  # not all of them are single digits
    assert len(for_texts(["4", "two"], corpus, 0).reference) == 400


# Bad input


@pytest.mark.parametrize(
    ("splits", "count", "speakers", "message"),
    [
        (["test_sen"], 5, ["theo"], "unknown"),
        ([], 5, ["theo"], "no split"),
        (["long", "long"], 5, ["theo"], "each once"),
        (["repeat"], 3001, ["theo"], "--n 3001: split repeat has 3000"),
        (["test_seen"], 5, ["anna"], "anna"),
    ],
)
def test_bad_material_of_a_corpus(corpus, splits, count, speakers, message):
    with pytest.raises(InputError, match=message):
        from_source(corpus, splits, count, 0, speakers, 8000)


def test_a_split_that_short_texts_do_not_have(corpus):
    with pytest.raises(InputError, match=r"repeat has 0 combinations of 1 to 2 digits; .*leave the split out"):
        from_source(corpus, ["repeat"], 1, 0, ["theo"], 8000, max_digits=2)


def test_bad_datasets(dataset, tmp_path):
    with pytest.raises(InputError, match="16000"):
        from_dataset(dataset, ["test_seen"], 2, 0, ["theo"], 16000)
    with pytest.raises(InputError, match="has 12 rows by theo; ask for at most 12"):
        from_dataset(dataset, ["test_unseen"], 13, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="no such folder"):
        from_dataset(tmp_path / "absent", ["test_seen"], 2, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="is not a dataset"):
        from_dataset(tmp_path, ["test_seen"], 2, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="speaks as anna"):
        from_dataset(dataset, ["test_seen"], 2, 0, ["anna"], 8000)
    check_splits(SPLITS_OF["digit"])
    assert shared_speakers(["b", "a", "c"], ["a", "b"]) == ("b", "a")
