"""How the recognizer is measured: the counts by hand, and the page that they are written to."""

import numpy as np
import pytest
from helpers.miniature_fsdd import tone

from data_recipes.corpus import Recording
from tts.core.machine import circumstances
from tts.recognition.evaluation import Item, empty_metrics, joined_metrics, joined_sets, single_metrics
from tts.recognition.report import markdown

SILENCE = np.zeros(800, np.float32)


class Fixed:
    """A recognizer with given answers."""

    def __init__(self, answers):
        self.answers = answers

    def recognize(self, waves, sample_rate):
        assert len(waves) == len(self.answers)
        return self.answers


@pytest.fixture(scope="module")
def recordings():
    return [Recording(tone(digit, 0), str(digit), "theo", 0, 8000, f"{digit}_theo_0") for digit in range(10)]


def test_joined_recordings_by_hand():
    items = [
        Item(SILENCE, [4, 7], "jackson", ["4_jackson_0", "7_jackson_1"]),
        Item(SILENCE, [2], "theo", ["2_theo_0"]),
        Item(SILENCE, [2, 5], "theo", ["2_theo_0", "5_theo_0"]),
        Item(SILENCE, [2, 5], "theo", ["2_theo_0", "5_theo_0"]),
    ]
    # 7 is missing; one is added before the first, one after the last; 5 is another.
    found = joined_metrics(Fixed([[4], [9, 2], [2, 5, 9], [2, 3]]), items)
    assert (found["substitutions"], found["insertions"], found["deletions"]) == (1, 2, 1)
    assert (found["digits"], found["digit_error"]) == (7, 4 / 7)
    assert (found["recordings"], found["recordings_with_errors"]) == (4, 3)
    assert (found["exact"], found["exact_by_length"]) == (0, {"1": [0, 1], "2": [0, 3]})
    assert found["confusion"]["jackson"][7][10] == found["confusion"]["theo"][5][3] == 1
    assert np.sum(found["confusion"]["theo"]) == 7  # five digits said and two added
    assert np.sum(found["confusion"]["lucas"]) == 0


def test_the_page_has_every_section(recordings):
    sets = joined_sets(recordings, 3, 0)
    assert [len(items) for items in sets.values()] == [3, 3, 3]
    assert not np.array_equal(sets["joined"][0].wave, sets["joined, damaged"][0].wave)
    singles = [Item(SILENCE, [digit], "theo", [f"{digit}_theo_0"]) for digit in (4, 7)]
    results = {
        "command": "measure",
        "circumstances": circumstances("beside other work"),
        "sequences": {
            name: joined_metrics(Fixed([item.digits for item in items]), items) for name, items in sets.items()
        },
        "singles": {"a set": single_metrics(Fixed([[4], []]), singles)},
        "empty": empty_metrics(Fixed([[], [1], [], []]), recordings, 4, 0),
    }
    page = markdown(results)
    assert "(beside other work)" in page
    assert "nothing recognized in 3 of 4, 75.00 %" in page
    assert "1 of 2 right: 50.00 %" in page and "7_theo_0: recognized nothing" in page
    for name in sets:
        assert f"| {name} | " in page
