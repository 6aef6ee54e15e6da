"""Digit errors: what was said against what was recognized.

Letters: W digits of a text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NOTHING = 10
"""Row and column of a confusion matrix beside the ten digits: nothing was said, or nothing was recognized."""

Pair = tuple[int | None, int | None]


def align(said: Sequence[int], recognized: Sequence[int]) -> list[Pair]:
    """The cheapest way from what was said to what was recognized: pairs of both, None where one side has nothing.

    Substitution, insertion and deletion cost 1 each (Levenshtein 1966). Where several ways are equally cheap, jiwer's
    (RapidFuzz's) choice holds; the number of errors is the same for all of them.
    """
    import jiwer

    output = jiwer.process_words(" ".join(map(str, said)), " ".join(map(str, recognized)))
    pairs: list[Pair] = []
    for chunk in output.alignments[0]:
        rows: list[int | None] = list(said[chunk.ref_start_idx : chunk.ref_end_idx])
        columns: list[int | None] = list(recognized[chunk.hyp_start_idx : chunk.hyp_end_idx])
        width = max(len(rows), len(columns))
        rows += [None] * (width - len(rows))
        columns += [None] * (width - len(columns))
        pairs += zip(rows, columns, strict=True)
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


def count_errors(pairs: Iterable[Pair]) -> Errors:
    """The edits of aligned pairs."""
    substitutions = insertions = deletions = 0
    for said, recognized in pairs:
        if said is None:
            insertions += 1
        elif recognized is None:
            deletions += 1
        else:
            substitutions += said != recognized
    return Errors(substitutions, insertions, deletions)


def confusion_matrix(alignments: Iterable[Sequence[Pair]]) -> np.ndarray:
    """(11, 11) int64 counts: row said, column recognized, `NOTHING` for insertions (row) and deletions (column)."""
    table = np.zeros((11, 11), dtype=np.int64)
    for pairs in alignments:
        for said, recognized in pairs:
            table[NOTHING if said is None else said, NOTHING if recognized is None else recognized] += 1
    return table
