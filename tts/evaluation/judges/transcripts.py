"""What a recognizer wrote, read as the words that it may stand for: "342,016" as a cardinal, digit by digit, in groups.

Written English does not say how it is read: "705" is seven hundred five, seven oh five, seven zero five and a time;
"B" and "be" sound alike. So each piece of a transcript has all its readings, and that way through them counts that is
nearest to what was said, as in scoring by sclite with alternatives (NIST). What a transcript leaves open is no error;
what no reading of it has is one.

Letters: W words said, P pieces of a transcript.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

from tts.core.errors import InputError
from tts.text.number_words import LARGEST
from tts.text.reading import ReadMode, read

_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_PIECE = re.compile(
    rf"(?P<time>\d{{1,2}}:\d\d(?!\d))|(?P<ordinal>(?:{_NUMBER})(?:st|nd|rd|th)\b)"
    rf"|(?P<money>\$ ?(?:{_NUMBER})(?!\.\d))|(?P<decimal>\d*\.\d+)|(?P<minus>(?<![\w,])-(?=\d))"
    rf"|(?P<number>{_NUMBER})"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)|(?P<symbol>[@+=/*#$&])|(?P<dash>(?<!\S)[-\u2013\u2014](?!\S))"
)
_SPELLED = re.compile(r"[A-Z]{2,6}")
_REPEATED = re.compile(r"\W*(\w.*?)(?:\W+\1)+\W*", re.IGNORECASE | re.DOTALL)
_MOST_GROUPS = 5
"""Of more, each is read by itself."""
_LONGEST_IN_GROUPS = 7
"""Longer numbers are read as a whole, digit by digit or at their commas."""

ALIKE = {
    "to": "two",
    "too": "two",
    "for": "four",
    "fore": "four",
    "ate": "eight",
    "won": "one",
    "forth": "fourth",
    "oclock": "o'clock",
    "o": "oh",
    "owe": "oh",
    "mic": "mike",
    "whisky": "whiskey",
    "alfa": "alpha",
    "juliett": "juliet",
    "juliette": "juliet",
    "ay": "a",
    "be": "b",
    "bee": "b",
    "see": "c",
    "sea": "c",
    "dee": "d",
    "eff": "f",
    "gee": "g",
    "eye": "i",
    "jay": "j",
    "kay": "k",
    "el": "l",
    "ell": "l",
    "em": "m",
    "en": "n",
    "oh": "o",
    "pee": "p",
    "pea": "p",
    "cue": "q",
    "queue": "q",
    "are": "r",
    "ess": "s",
    "tea": "t",
    "tee": "t",
    "you": "u",
    "vee": "v",
    "ex": "x",
    "why": "y",
    "zee": "z",
    "z": "zed",
}
"""Words and the one that sounds alike in American English."""
SYMBOLS = {
    "@": ("at",),
    "+": ("plus",),
    "=": ("equals",),
    "/": ("slash",),
    "*": ("star", "asterisk"),
    "#": ("pound",),
    "$": ("dollar", "dollars"),
    "&": ("and",),
}
NOUNS: tuple[tuple[str, ...], ...] = ((), ("dollar",), ("dollars",))
Readings = tuple[tuple[str, ...], ...]


def nearest(said: Sequence[str], text: str) -> list[str]:
    """The reading of a transcript with the fewest edits from the words said; of equally near ones, the first.

    A transcript that is one text again and again may be that text once: Whisper repeats short texts.
    """
    once = _REPEATED.fullmatch(text)
    return list(min((_nearest(said, one) for one in (text, *([once[1]] if once else []))), key=lambda cell: cell[0])[1])


def _nearest(said: Sequence[str], text: str) -> tuple[int, tuple[str, ...]]:
    """The fewest edits from the words said to a reading of the transcript, and that reading."""
    # Row w: the fewest edits from said[:w] to the pieces so far, and the words that these are read as.
    row: list[tuple[int, tuple[str, ...]]] = [(count, ()) for count in range(len(said) + 1)]
    for readings in pieces(text):
        found = [_advanced(row, said, words) for words in readings]
        row = [min(column, key=lambda cell: cell[0]) for column in zip(*found, strict=True)]
    return row[-1]


def _advanced(
    row: list[tuple[int, tuple[str, ...]]], said: Sequence[str], words: tuple[str, ...]
) -> list[tuple[int, tuple[str, ...]]]:
    """A row of `_nearest` after these words."""
    for word in words:
        cells = [(row[0][0] + 1, (*row[0][1], word))]
        for place, wanted in enumerate(said):
            substituted = row[place][0] + (wanted != word), (*row[place][1], word)
            inserted = row[place + 1][0] + 1, (*row[place + 1][1], word)
            deleted = cells[-1][0] + 1, cells[-1][1]
            cells.append(min(substituted, inserted, deleted, key=lambda cell: cell[0]))
        row = cells
    return row


def pieces(text: str) -> Iterator[Readings]:
    """The readings of each piece of a transcript, at least one each."""
    plain = re.sub(r"(?i)\bx[- ]ray", "xray", text.replace("\u2019", "'"))
    for match in _PIECE.finditer(plain):
        kind, written = str(match.lastgroup), match[0]
        if kind == "word":
            yield _word(written)
        elif kind == "symbol":
            yield ((), *((word,) for word in SYMBOLS[written]))
        elif kind in ("dash", "minus"):
            yield ((), ("minus",), ("dash",))
        else:
            yield _numerals(kind, written)


def _word(written: str) -> Readings:
    word = written.lower()
    # "And" is written in numbers that are said without it.
    found: list[tuple[str, ...]] = [(word,), ()] if word == "and" else [(word,)]
    if word in ALIKE:
        found.append((ALIKE[word],))
    if word in ("am", "pm") or _SPELLED.fullmatch(written):
        found.append(tuple(word))
    return tuple(found)


@cache
def _numerals(kind: str, written: str) -> Readings:
    """A piece with digits: what is said of each."""
    digits = re.sub(r"\D", "", written)
    if kind == "time":
        hour, minute = written.split(":")
        found = [*_in_groups(f"{int(hour)}{minute}"), *_in_groups(f"{hour}{minute}")]
        found += [(*_cardinal(str(int(hour))), "o'clock")] * (minute == "00")
    elif kind == "ordinal":
        found = _forms(_read(written.lower().replace(",", ""), "ordinal"))
    elif kind == "money":
        # The sign is written at numbers without it too: "$60 million" of "sixty million".
        found = [(*number, *noun) for number in _number(digits, written.strip("$ ")) for noun in NOUNS]
    elif kind == "decimal":
        whole, fraction = written.split(".")
        parts = (_number(whole, whole) if whole else [()], [("point",), ("dot",)], _number(fraction, fraction))
        found = [(*head, *point, *tail) for head, point, tail in product(*parts)]
    else:
        found = _number(digits, written)
    return tuple(dict.fromkeys(found)) or ((written,),)


def _number(digits: str, written: str) -> list[tuple[str, ...]]:
    """A whole number: as a cardinal, and in groups, where it has commas also at these."""
    found = _forms(_cardinal(digits)) if int(digits) <= LARGEST else []
    if len(digits) <= _LONGEST_IN_GROUPS:
        found += _in_groups(digits)
    else:
        found += [tuple(word for digit in digits for word in _cardinal(digit))]
    if "," in written:  # no group of more than three digits
        found += _at_commas(written.split(","))
    return found


def _at_commas(groups: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of digits as one number or several: "7,100,20" as seven thousand one hundred, twenty."""
    if len(groups) > _MOST_GROUPS:
        return [sum(map(_cardinal, groups), ())]
    found: list[tuple[str, ...]] = [] if groups else [()]
    for size in range(1, len(groups) + 1):
        head = "".join(groups[:size])
        if size == 1 or (head[0] != "0" and int(head) <= LARGEST):
            found += [(*one, *more) for one in _forms(_cardinal(head)) for more in _at_commas(groups[size:])]
    return list(dict.fromkeys(found))


@cache
def _in_groups(digits: str) -> list[tuple[str, ...]]:
    """Digits in groups of one to three: "1930" as nineteen thirty, "705" as seven oh five, "1900" as nineteen hundred,
    each group in all its forms."""
    if not digits:
        return [()]
    found = []
    for size in (1, 2, 3):
        head, rest = digits[:size], digits[size:]
        if len(head) == size and (size == 1 or head[0] != "0"):
            heads = [*_forms(_cardinal(head)), *([("oh",)] if head == "0" else [])]
            found += [(*one, *more) for one in heads for more in _in_groups(rest)]
            if rest == "00":
                found += [(*one, "hundred") for one in heads]
    return list(dict.fromkeys(found))


def _cardinal(digits: str) -> tuple[str, ...]:
    """The words of a whole number up to `LARGEST`; leading zeros are left out."""
    return _read(str(int(digits)), "cardinal")


@cache
def _read(written: str, how: ReadMode) -> tuple[str, ...]:
    try:
        return tuple(read(written, how, "en").words)
    except InputError:  # no number that people would write
        return (written,)


def _forms(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Number words without "and", with it, and a leading "one" left out: "100" may be just "hundred"."""
    plain = tuple(word for word in words if word != "and")
    bare = [plain[1:]] if plain[0] == "one" and len(plain) > 1 else []
    return list(dict.fromkeys([plain, words, *bare]))
