"""Errors of digits or words: what was said against what was recognized."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np

NOTHING = 10
"""Row and column of a confusion matrix beside the ten digits: nothing was said, or nothing was recognized."""

Pair = tuple[int | None, int | None]
WordPair = tuple[str | None, str | None]
Item = TypeVar("Item", int, str)


def align(said: Sequence[Item], recognized: Sequence[Item]) -> list[tuple[Item | None, Item | None]]:
    """The cheapest way from what was said to what was recognized: pairs of both, None where one side has nothing.

    Substitution, insertion and deletion cost 1 each (Levenshtein 1966). Where several ways are equally cheap, jiwer's
    (RapidFuzz's) choice holds; the number of errors is the same for all of them.
    """
    import jiwer

    output = jiwer.process_words(" ".join(map(str, said)), " ".join(map(str, recognized)))
    pairs: list[tuple[Item | None, Item | None]] = []
    for chunk in output.alignments[0]:
        rows = said[chunk.ref_start_idx : chunk.ref_end_idx]
        pairs += zip_longest(rows, recognized[chunk.hyp_start_idx : chunk.hyp_end_idx])
    return pairs


@dataclass(frozen=True)
class Errors:
    """Edits of an alignment."""

    substitutions: int
    insertions: int
    deletions: int

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions


def count_errors(pairs: Iterable[tuple[Item | None, Item | None]]) -> Errors:
    """The edits of aligned pairs."""
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    insertions = sum(said is None for said, _ in wrong)
    deletions = sum(recognized is None for _, recognized in wrong)
    return Errors(len(wrong) - insertions - deletions, insertions, deletions)


def confusion_matrix(alignments: Iterable[Sequence[Pair | WordPair]]) -> np.ndarray:
    """Of digits, 4 or "4": (11, 11) int64 counts, row said, column recognized, `NOTHING` for insertions (row) and
    deletions (column)."""
    table = np.zeros((11, 11), dtype=np.int64)
    for pairs in alignments:
        for said, recognized in pairs:
            table[NOTHING if said is None else int(said), NOTHING if recognized is None else int(recognized)] += 1
    return table
