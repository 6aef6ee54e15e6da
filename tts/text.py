"""Text to words: what the voice can say, and nothing else. A word is one digit, "4" or "four".

What separates words: white space, every kind of dash, and the punctuation of lists and sentences (, ; . ! ?). Numerals
need no separator: "472" is three words. Everything else is refused rather than guessed at, because reading "4/7", "4°"
or "4²" as plain digits would say something other than what was written.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable

from tts.errors import InputError

MAX_WORDS = 1000
"""The longest text, in words."""

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

SPOKEN: dict[str, int] = {str(digit): digit for digit in range(10)} | {name: digit for digit, name in enumerate(_NAMES)}
"""Every word that can be said, to its digit: "4" and "four" to 4."""

_ALLOWED = 'numerals ("472") and the English words "zero" to "nine"'
_SEPARATORS = frozenset(",;.!?\u060c\u061b\u06d4\u3001\u3002")  # the last five: Arabic and ideographic comma, stop
_WHITE_SPACE_CONTROLS = frozenset("\t\n\v\f\r")
_SPOKEN_PARTS = re.compile("|".join(("[0-9]", *_NAMES)))
_SHOWN = 40


def words(text: str) -> list[str]:
    """Split a text into the words to be said.

    Decimal digits of every script (full-width, Arabic-Indic, Devanagari …) become ASCII numerals, letters lower case;
    invisible format characters (a byte order mark, direction marks, soft hyphens) are dropped.

    Args:
        text: e.g. "472", "4-7-2", "4, 7, 2" or "four seven two".

    Returns:
        1 to MAX_WORDS keys of `SPOKEN`, e.g. ["4", "7", "2"] or ["four", "seven", "two"].

    Raises:
        InputError: nothing to say, a control character, a word that cannot be said, or too many words.
    """
    found: list[str] = []
    for piece in _plain(text).split():
        if piece in SPOKEN:
            found.append(piece)
        elif piece.isascii() and piece.isdigit():
            found.extend(piece)
        else:
            raise InputError(_unsayable(piece))
    if not found:
        raise InputError(f"the text {_shown(text)} has no words to say; write {_ALLOWED}")
    if len(found) > MAX_WORDS:
        raise InputError(f"the text has {len(found)} words; at most {MAX_WORDS} can be said at once, so split it up")
    return found


def digits(words: Iterable[str]) -> list[int]:
    """The digits that words stand for: ["4", "seven"] to [4, 7].

    Raises:
        InputError: a word that is not in `SPOKEN`.
    """
    try:
        return [SPOKEN[word] for word in words]
    except KeyError as error:
        raise InputError(_unsayable(error.args[0])) from None


def _plain(text: str) -> str:
    """Separators to spaces, digits to ASCII, letters to lower case without their typographic forms."""
    return "".join(map(_plain_character, text))


def _plain_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character.lower()
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":
        return ""
    if category.startswith("Z") or category == "Pd" or character in _SEPARATORS or character in _WHITE_SPACE_CONTROLS:
        return " "
    if category == "Cc":
        raise InputError(
            f"the text holds the control character U+{ord(character):04X}; remove it, and write {_ALLOWED}"
        )
    if category == "Cs":
        raise InputError(f"the text is not valid Unicode (U+{ord(character):04X}); give it in UTF-8")
    if category.startswith("N"):
        return character  # "²", "½" and "Ⅳ" have plain forms, but those would be other numbers
    plain = unicodedata.normalize("NFKC", character).lower()
    return "".join(" " if part in _SEPARATORS else part for part in plain)


def _unsayable(word: str) -> str:
    message = f"the voice cannot say {_shown(word)}; it says {_ALLOWED}"
    spoken = _SPOKEN_PARTS.findall(word)
    if spoken and "".join(spoken) == word:
        return f"{message}; did you mean {_shown(' '.join(spoken))}?"
    near = difflib.get_close_matches(word, _NAMES, n=1) if len(word) <= _SHOWN else []
    return f'{message}; did you mean "{near[0]}"?' if near else message


def _shown(text: str) -> str:
    """A text as an error message can hold it: quoted, on one line, cut short."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
