"""Hold-outs: stable, disjoint, and leaving every digit in every other place."""

from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_recipes.splits import (
    DEFAULT_HOLD_OUTS,
    HELD_BIGRAMS,
    HELD_POSITIONS,
    HOLD_OUTS,
    check_hold_outs,
    combination_hash,
    combination_split,
)
from tts.core.errors import InputError

COMBINATIONS = st.lists(st.integers(0, 9), min_size=1, max_size=9)


def all_of(length: int) -> list[tuple[str, ...]]:
    return list(product("0123456789", repeat=length))


def test_golden() -> None:
    # These may never change: a voice trained before would have been trained on what is tested after.
    assert combination_hash([4, 7, 2]) == pytest.approx(GOLDEN_HASH, abs=1e-15)
    assert {text: combination_split([int(digit) for digit in text]) for text in GOLDEN_SPLITS} == GOLDEN_SPLITS
    assert {length: Counter(map(combination_split, all_of(length))) for length in GOLDEN_COUNTS} == GOLDEN_COUNTS


def test_single_digits_are_always_seen() -> None:
    assert {combination_split([digit], HOLD_OUTS) for digit in range(10)} == {"seen"}


def test_about_a_tenth_is_held_out_by_hash() -> None:
    for length in (2, 3, 4, 5):
        combinations = all_of(length)
        share = sum(combination_split(digits, ("unseen",)) == "unseen" for digits in combinations) / len(combinations)
        assert share == pytest.approx(0.10, abs=0.025 if length < 4 else 0.005)
    everything = [digits for length in (2, 3, 4, 5) for digits in all_of(length)]
    share = sum(combination_split(digits, ("unseen",)) == "unseen" for digits in everything) / len(everything)
    assert share == pytest.approx(0.10, abs=0.005)


def test_seen_combinations_hold_nothing_held_out() -> None:
    for digits in (digits for length in (2, 3, 4) for digits in all_of(length)):
        if combination_split(digits, HOLD_OUTS) != "seen":
            continue
        assert len(digits) <= 3
        assert not HELD_BIGRAMS & set(pairwise(digits))
        assert not HELD_POSITIONS & {(digit, position) for position, digit in enumerate(digits)}
        assert not any(a == b == c for a, b, c in zip(digits, digits[1:], digits[2:], strict=False))


def test_every_digit_is_seen_left_right_and_in_every_other_position() -> None:
    seen = [digits for length in (2, 3, 4) for digits in all_of(length) if combination_split(digits) == "seen"]
    present = {(digit, position) for digits in seen for position, digit in enumerate(digits)}
    assert {(digit, position) for digit in "0123456789" for position in range(4)} - present == HELD_POSITIONS
    assert set(product("0123456789", repeat=2)) - {pair for digits in seen for pair in pairwise(digits)} == HELD_BIGRAMS


@given(COMBINATIONS, st.sets(st.sampled_from(HOLD_OUTS)))
def test_the_first_in_force_owns(digits: list[int], names: set[str]) -> None:
    owner = combination_split(digits, sorted(names))
    assert owner == combination_split(tuple(digits), sorted(names, reverse=True))
    owners = [name for name in HOLD_OUTS if combination_split(digits, (name,)) == name and name in names]
    assert owner == (owners[0] if owners else "seen")


def test_names_are_checked() -> None:
    check_hold_outs(DEFAULT_HOLD_OUTS)
    with pytest.raises(InputError, match="repeat, bigram, position, unseen, length"):
        check_hold_outs(["trigram"])


GOLDEN_HASH = 0.9459904811012941
GOLDEN_SPLITS = {
    "472": "seen",
    "777": "repeat",
    "38": "bigram",
    "16": "position",
    "61": "seen",
    "1123": "seen",
    "1122": "position",
    "12345": "seen",
    "90210": "seen",
}
GOLDEN_COUNTS: dict[int, dict[str, int]] = {
    2: {"seen": 77, "bigram": 3, "position": 10, "unseen": 10},
    3: {"repeat": 10, "seen": 754, "bigram": 60, "unseen": 77, "position": 99},
    4: {"repeat": 190, "seen": 6445, "position": 1773, "unseen": 707, "bigram": 885},
}
