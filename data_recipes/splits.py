"""Which combinations of digits are held out of training. The same in every corpus, because only the digits decide.

A combination is a sequence's digits, whoever says them. A held-out combination never reaches `train`. Single digits
are always seen: without them there is nothing to compose from.
"""

import hashlib
import itertools
from collections.abc import Sequence
from functools import lru_cache

from tts.core.errors import InputError

HOLD_OUTS = ("repeat", "bigram", "position", "unseen", "length")
"""Every named hold-out, in the order in which they claim a combination."""
DEFAULT_HOLD_OUTS = ("repeat", "bigram", "position", "unseen")
"""What `train` leaves out by default; `length` (train 1-3 digits, test 4-5) must be named."""
HELD_BIGRAMS = frozenset({(3, 8), (7, 1), (0, 5)})
"""Pairs of neighbors that are never in `train`, where each of these digits has all other neighbors on both sides."""
HELD_POSITIONS = frozenset({(6, 1), (2, 3)})
"""(digit, position counted from 0) that are never in `train`; both digits are there in all other positions."""
REPEAT_RUN = 3
"""The same digit this many times running, or more, is never in `train` ("7 7 7")."""
UNSEEN_SHARE = 0.10
"""Share of the remaining combinations of two or more digits that a hash holds out."""
TRAINED_LENGTH = 3
"""With `length` held out, `train` has no sequence of more digits."""


def combination_hash(digits: Sequence[int]) -> float:
    """A number in [0, 1) that depends on the digits only: the same on every machine and in every release."""
    text = " ".join(map(str, digits)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64


def combination_split(digits: Sequence[int], hold_outs: Sequence[str] = DEFAULT_HOLD_OUTS) -> str:
    """Which part of the combinations these digits belong to.

    Args: digits, each 0-9, at least one; hold_outs, the names in force (their order does not matter).

    Returns: "seen", or the first of `HOLD_OUTS`, among those in force, that owns the combination.
    """
    return _combination_split(tuple(digits), tuple(hold_outs))


@lru_cache(maxsize=1 << 18)
def _combination_split(digits: tuple[int, ...], hold_outs: tuple[str, ...]) -> str:
    assert digits and all(0 <= digit <= 9 for digit in digits), digits
    owners = (name for name in HOLD_OUTS if name in hold_outs and len(digits) > 1 and _owns(name, digits))
    return next(owners, "seen")


def _owns(name: str, digits: tuple[int, ...]) -> bool:
    if name == "repeat":
        return any(len(set(digits[i : i + REPEAT_RUN])) == 1 for i in range(len(digits) - REPEAT_RUN + 1))
    if name == "bigram":
        return any(pair in HELD_BIGRAMS for pair in itertools.pairwise(digits))
    if name == "position":
        return any((digit, position) in HELD_POSITIONS for position, digit in enumerate(digits))
    if name == "unseen":
        return combination_hash(digits) < UNSEEN_SHARE
    assert name == "length", name
    return len(digits) > TRAINED_LENGTH


def check_hold_outs(hold_outs: Sequence[str]) -> None:
    """Raises: InputError for an unknown name."""
    for name in hold_outs:
        if name not in HOLD_OUTS:
            raise InputError(f"hold-out {name!r} is unknown; choose among {', '.join(HOLD_OUTS)}")
