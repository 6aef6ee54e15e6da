"""Digit errors, against cases worked by hand and another implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchaudio.functional import edit_distance

from tts.recognition.alignment import NOTHING, align, confusion_matrix, count_errors

DIGITS = st.lists(st.integers(0, 3), max_size=9)


@pytest.mark.parametrize(
    ("said", "recognized", "edits"),
    [
        ([4, 7, 2], [4, 7, 2], (0, 0, 0)),
        ([4, 7, 2], [4, 1, 2], (1, 0, 0)),
        ([4, 7, 2], [4, 2], (0, 0, 1)),
        ([4, 7, 2], [4, 7, 7, 2], (0, 1, 0)),
        ([4, 7, 2], [], (0, 0, 3)),
        ([4], [9, 4, 4], (0, 2, 0)),
        ([1, 2, 3, 4], [2, 3, 4, 5], (0, 1, 1)),
        ([1, 2, 3], [9, 2, 8, 7], (2, 1, 0)),
        ([], [3], (0, 1, 0)),
        ([], [], (0, 0, 0)),
    ],
)
def test_edits_by_hand(said, recognized, edits):
    pairs = align(said, recognized)
    counted = count_errors(pairs)
    assert (counted.substitutions, counted.insertions, counted.deletions) == edits
    assert counted.total == sum(edits)
    assert [digit for digit, _ in pairs if digit is not None] == said
    assert [digit for _, digit in pairs if digit is not None] == recognized


@given(DIGITS, DIGITS)
def test_any_two_texts_are_paired_at_the_least_cost(said, recognized):
    pairs = align(said, recognized)
    assert [digit for digit, _ in pairs if digit is not None] == said
    assert [digit for _, digit in pairs if digit is not None] == recognized
    assert count_errors(pairs).total == edit_distance(said, recognized)


def test_confusion_by_hand():
    table = confusion_matrix([align([4, 7, 2], [4, 1, 2]), align([4, 7], [4]), align([3], [3, 9])])
    expected = np.zeros((11, 11), dtype=int)
    for row, column in ((4, 4), (7, 1), (2, 2), (4, 4), (7, NOTHING), (3, 3), (NOTHING, 9)):
        expected[row, column] += 1
    assert (table == expected).all()
