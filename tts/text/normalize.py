"""Text to words: what the voice can say, and nothing else. A voice says the words of its vocabulary.

A vocabulary of digits alone says both forms of each of its digits, "4" and "four"; of a corpus of ten, all of `SPOKEN`.
Any other is what the voice's corpus had ("thousand", "o'clock"); there a digit's numeral and its name are one word as
well: "3" is said where the vocabulary has "three". Number words of several digits are for `words` what their parts are:
"twenty-one" is two words.

What separates words: white space, every kind of dash, and the punctuation of lists and sentences (, ; . ! ?). Numerals
need no separator in a vocabulary of digits: "472" is three words. Everything else is refused rather than guessed at,
because reading "4/7", "4°" or "4²" as plain digits would say something other than what was written. So is punctuation
that makes a number of digits: a point or comma between them ("3.14", "1,000") or before the first one (".5"), and a
minus ("-4").
"""

import re
import unicodedata
from collections.abc import Collection, Iterable

from tts.core.errors import InputError
from tts.core.messages import shown

MAX_WORDS = 1000
"""The longest text, in words."""

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""By digit."""

SPOKEN: dict[str, int] = {str(digit): digit for digit in range(10)} | {
    name: digit for digit, name in enumerate(DIGIT_NAMES)
}
"""Every word that a voice of digits says, to its digit: "4" and "four" to 4."""
MAX_VOCABULARY, MAX_WORD = 10_000, 40
"""Most words of a vocabulary; most characters of one."""

_ALLOWED = 'numerals ("472") and the English words "zero" to "nine"'
_SEPARATORS = frozenset(";!?\u061b\u06d4\u3001\u3002")  # the last four: Arabic semicolon, stop; ideographic comma, stop
_ARABIC_COMMA, _ARABIC_NUMBER_SEPARATORS, _MINUS = "\u060c", "\u066b\u066c", "\u2212"
_WHITE_SPACE_CONTROLS = frozenset("\t\n\v\f\r")
_SPOKEN_PARTS = re.compile("|".join(("[0-9]", *DIGIT_NAMES)))
# Three points or more are an ellipsis, and stand between words.
_POINT_OF_A_NUMBER = re.compile(
    rf"(?<=[0-9])(?!\.{{3}})[.,{_ARABIC_NUMBER_SEPARATORS}]+(?=[0-9])|(?<![0-9a-z.,])\.(?=[0-9])"
)
_SIGN_OF_A_NUMBER = re.compile(rf"(?<![0-9a-z{_MINUS}-])[{_MINUS}-]+(?={_SPOKEN_PARTS.pattern})")
_TO_SPACES = str.maketrans(dict.fromkeys(",.-", " "))
_SHOWN = 40


def is_digits(vocabulary: Iterable[str]) -> bool:
    """Whether all words are digits; that of no word is, too: the default."""
    return all(word in SPOKEN for word in vocabulary)


def digit_forms(vocabulary: Iterable[str]) -> tuple[str, ...]:
    """Numeral and name of each digit in a vocabulary of digits alone; of an empty one all of `SPOKEN`."""
    present = {SPOKEN[word] for word in vocabulary}
    return tuple(word for word, digit in SPOKEN.items() if digit in present or not present)


def check_vocabulary(vocabulary: Collection[str]) -> None:
    """Raises InputError for a word that no text could have, a word twice, or too many words."""
    if len(vocabulary) > MAX_VOCABULARY:
        raise InputError(f"vocabulary has {len(vocabulary)} words; it may have {MAX_VOCABULARY}: leave some out")
    for word in vocabulary:
        if not word or len(word) > MAX_WORD or _plain_text(word, "words").translate(_TO_SPACES) != word or " " in word:
            raise InputError(
                f"vocabulary holds {_shown(word)}; a word is 1 to {MAX_WORD} characters in lower case without white "
                "space and punctuation, e.g. four or o'clock"
            )
    if len(set(vocabulary)) != len(vocabulary):
        raise InputError("vocabulary holds a word twice; remove the second one")


def words(text: str, vocabulary: Collection[str] = SPOKEN) -> list[str]:
    """Split a text into the words to be said, which are all of `vocabulary` (a set is fastest).

    Decimal digits of every script (full-width, Arabic-Indic, Devanagari …) become ASCII numerals, letters lower case;
    invisible format characters (a byte order mark, direction marks, soft hyphens) are dropped.

    Returns: 1 to MAX_WORDS of the vocabulary; of digits alone `digit_forms`: ["4", "7", "2"] of "472", "4-7-2" or
        "4, 7, 2"; ["four", "2"] of "Four! 2".

    Raises InputError: no string, nothing to say, a control character, a word that cannot be said, a number of which the
        digits are only a part ("3.14", "-4"), or too many words.
    """
    if not isinstance(text, str):
        raise InputError(f'the text is {shown(text)} ({type(text).__name__}); give a string, e.g. "4 7 2"')
    digits_only = is_digits(vocabulary)
    known = digit_forms(vocabulary) if digits_only else vocabulary
    every = digits_only and len(known) == len(SPOKEN)
    allowed = _ALLOWED if every else f"{len(known)} words, which `tts voices VOICE` lists"
    plain = "".join(_plain(character, allowed) for character in text) if digits_only else _plain_text(text, allowed)
    _refuse_numbers(plain)
    found: list[str] = []
    for piece in plain.translate(_TO_SPACES).split():
        if piece in known:
            found.append(piece)
        elif digits_only and piece.isascii() and piece.isdigit() and all(digit in known for digit in piece):
            found.extend(piece)
        elif other := [form for form in _forms(piece) if form in vocabulary and not digits_only]:
            found.append(other[0])
        else:
            raise InputError(_unsayable(piece) if every else _not_in(piece, known, allowed))
    if not found:
        raise InputError(f"the text {_shown(text)} has no words to say; write {allowed}")
    if len(found) > MAX_WORDS:
        raise InputError(f"the text has {len(found)} words; at most {MAX_WORDS} can be said at once, so split it up")
    return found


def any_words(text: str) -> list[str]:
    """The words of a text in no vocabulary: digits as `words` gives them ("472" is three), all others as they are
    written. Raises InputError for what can be no word."""
    plain = _plain_text(text, "words").translate(_TO_SPACES).split()
    if all(piece in SPOKEN or piece.isdecimal() for piece in plain):
        return words(text)
    vocabulary = set(plain)
    check_vocabulary(vocabulary)
    return words(text, vocabulary)


def digits(words: Iterable[str]) -> list[int]:
    """The digits that words stand for: ["4", "seven"] to [4, 7]. Raises InputError for a word not in `SPOKEN`."""
    try:
        return [SPOKEN[word] for word in words]
    except KeyError as error:
        raise InputError(_unsayable(error.args[0])) from None


def file_name(words: Iterable[str]) -> str:
    """Words as the name of a file, without a suffix: "472" of digits, else "three-hundred"."""
    said = list(words)
    if is_digits(said):
        return "".join(map(str, digits(said)))[:20]
    return re.sub(r"[^\w'-]", "_", "-".join(said))[:50]


def _forms(word: str) -> tuple[str, ...]:
    """A digit's numeral and its name."""
    return (str(SPOKEN[word]), DIGIT_NAMES[SPOKEN[word]]) if word in SPOKEN else ()


def _refuse_numbers(plain: str) -> None:
    """Raise InputError where the punctuation of a text, as `_plain` gives it, makes a number of its digits."""
    for mark, name in (
        (_POINT_OF_A_NUMBER, "a decimal point or separator"),
        (_SIGN_OF_A_NUMBER, "a minus before a digit"),
    ):
        if found := mark.search(plain):
            place = found.start()
            piece = plain[:place].rsplit(" ", 1)[-1] + plain[place:].split(" ", 1)[0]
            raise InputError(
                f"the text {_shown(piece)} holds {name}, which the voice has no word for; "
                f"write the digits apart: {_shown(' '.join(_SPOKEN_PARTS.findall(piece)))}"
            )


def _plain_text(text: str, allowed: str) -> str:
    """A text as words of any vocabulary are written: `_plain`, letters composed with their accents, one apostrophe."""
    plain = "".join(_plain(character, allowed) for character in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", plain).replace("\u2019", "'")


def _plain(character: str, allowed: str) -> str:
    """A dash as "-", points, commas and digits in ASCII, other separators as spaces, letters in lower case without
    their typographic forms."""
    if character.isascii() and character.isalnum():
        return character.lower()
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Cf":
        return ""
    if category == "Pd":
        return "-"
    if category.startswith("Z") or character in _WHITE_SPACE_CONTROLS:
        return " "
    if category == "Cc":
        raise InputError(f"the text holds the control character U+{ord(character):04X}; remove it; write {allowed}")
    if category == "Cs":
        raise InputError(f"the text is not valid Unicode (U+{ord(character):04X}); give it in UTF-8")
    if category.startswith("N"):
        return character  # "²", "½" and "Ⅳ" have plain forms, but those would be other numbers
    plain = unicodedata.normalize("NFKC", character).lower()
    return "".join(" " if part in _SEPARATORS else "," if part == _ARABIC_COMMA else part for part in plain)


def _unsayable(word: str) -> str:
    import difflib  # not above: only mistakes need it, and speaking starts without

    message = f"the voice cannot say {_shown(word)}; it says {_ALLOWED}"
    spoken = _SPOKEN_PARTS.findall(word)
    if spoken and "".join(spoken) == word:
        return f"{message}; did you mean {_shown(' '.join(spoken))}?"
    near = difflib.get_close_matches(word, DIGIT_NAMES, n=1) if len(word) <= _SHOWN else []
    return f'{message}; did you mean "{near[0]}"?' if near else message


def _not_in(word: str, vocabulary: Collection[str], allowed: str) -> str:
    import difflib  # not above: only mistakes need it, and speaking starts without

    near = difflib.get_close_matches(word, vocabulary, n=3) if len(word) <= MAX_WORD else []
    question = f"; did you mean {' or '.join(map(_shown, near))}?" if near else ""
    return f"the voice cannot say {_shown(word)}; it says {allowed}{question}"


def _shown(text: str) -> str:
    """A text as an error message can hold it: quoted, on one line, cut short."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
