"""Which combinations of words are held out of training. The same in every corpus, because only the words decide.

A combination is a sequence's words, whoever says them. A held-out combination never reaches `train`. Single words are
always seen: without them there is nothing to compose from. "4" and "four" are one word here.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from tts.core.errors import InputError
from tts.text.normalize import SPOKEN

HOLD_OUTS = ("repeat", "bigram", "position", "unseen", "length")
"""Every named hold-out, in the order in which they claim a combination."""
DEFAULT_HOLD_OUTS = ("repeat", "bigram", "position", "unseen")
"""What `train` leaves out by default; `length` (train 1-3 words, test 4-5) must be named."""
HELD_BIGRAMS = frozenset({("3", "8"), ("7", "1"), ("0", "5")})
"""Pairs of neighboring digits that are never in `train`, where each of them has all other neighbors on both sides."""
HELD_POSITIONS = frozenset({("6", 1), ("2", 3)})
"""(digit, position counted from 0) that are never in `train`; both digits are there in all other positions."""
BIGRAM_SHARE, POSITION_SHARE = 0.03, 0.02
"""Shares of the pairs and of the (word, position) that a hash holds out where a word is no digit."""
REPEAT_RUN = 3
"""The same word this many times running, or more, is never in `train` ("7 7 7")."""
UNSEEN_SHARE = 0.10
"""Share of the remaining combinations of two or more words that a hash holds out."""
TRAINED_LENGTH = 3
"""With `length` held out, `train` has no sequence of more words."""


def combination_hash(words: Sequence[str | int]) -> float:
    """A number in [0, 1) that depends on the words only: the same on every machine and in every release."""
    return _hash(" ".join(map(_canonical, words)))


def combination_split(words: Sequence[str | int], hold_outs: Sequence[str] = DEFAULT_HOLD_OUTS) -> str:
    """Which part of the combinations these words belong to.

    Args: words, at least one, a digit as "4", "four" or 4; hold_outs, the names in force (their order does not matter).

    Returns: "seen", or the first of `HOLD_OUTS`, among those in force, that owns the combination.
    """
    assert words
    return _combination_split(tuple(map(_canonical, words)), tuple(hold_outs))


def _canonical(word: str | int) -> str:
    """One form of a word that has several: a digit's numeral."""
    return str(SPOKEN.get(str(word), word))


def _hash(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


@lru_cache(maxsize=1 << 18)
def _combination_split(words: tuple[str, ...], hold_outs: tuple[str, ...]) -> str:
    owners = (name for name in HOLD_OUTS if name in hold_outs and len(words) > 1 and _owns(name, words))
    return next(owners, "seen")


def _owns(name: str, words: tuple[str, ...]) -> bool:
    if name == "repeat":
        return any(len(set(words[i : i + REPEAT_RUN])) == 1 for i in range(len(words) - REPEAT_RUN + 1))
    if name == "bigram":
        return any(map(_is_held_bigram, words, words[1:]))
    if name == "position":
        return any(_is_held_position(word, position) for position, word in enumerate(words))
    if name == "unseen":
        return combination_hash(words) < UNSEEN_SHARE
    assert name == "length", name
    return len(words) > TRAINED_LENGTH


@lru_cache(maxsize=1 << 16)
def _is_held_bigram(first: str, second: str) -> bool:
    if first in SPOKEN and second in SPOKEN:
        return (first, second) in HELD_BIGRAMS
    return _hash(f"bigram {first} {second}") < BIGRAM_SHARE


@lru_cache(maxsize=1 << 16)
def _is_held_position(word: str, position: int) -> bool:
    if word in SPOKEN:
        return (word, position) in HELD_POSITIONS
    return _hash(f"position {position} {word}") < POSITION_SHARE


def check_hold_outs(hold_outs: Sequence[str]) -> None:
    """Raises: InputError for an unknown name."""
    for name in hold_outs:
        if name not in HOLD_OUTS:
            raise InputError(f"hold-out {name!r} is unknown; choose among {', '.join(HOLD_OUTS)}")
