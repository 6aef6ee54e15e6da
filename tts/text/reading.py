"""Numbers as people write them to words: "42" to "forty two", "7:05" to "seven oh five", "$12.50" to dollars and cents.

The number words are num2words'; here is what it lacks: which marks a language writes numbers with, decimals, leading
zeros, times, dates, the grammar of amounts, telephone numbers. What can be read in two ways is refused rather than
guessed at: "3/4/2024", "1.50" in German. `digits` is `normalize.words`, and knows nothing of all this.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Literal, get_args

from tts.core.errors import InputError
from tts.core.messages import shown
from tts.text.languages import LANGUAGES, ORDINAL_INDICATORS, Language, in_script
from tts.text.normalize import MAX_WORDS, SPOKEN, words
from tts.text.pauses import Pause, Reading, joined, split_pauses

ReadMode = Literal["digits", "cardinal", "ordinal", "time", "money", "phone", "phone-double", "auto"]
"""How numbers are read. "phone-double" says "double seven"; "auto" goes by what is written, dates included."""

MAX_CHARACTERS = 100_000

_END = r"(?=[\s;!?\u061b\u06d4\u3002\")\u201c\u201d\u00bb\u2026]|[.:,](?:\s|$)|\.{3}|$)"
_SEPARATORS = re.compile(r"[\s;!?\u061b\u06d4\u3002,.:\"()\u201c\u201d\u00ab\u00bb\u201e\u2026]")
_SPACES_IN_NUMBERS = "\u00a0\u202f\u2009\u2007"
_ARABIC_MARKS = "\u066b\u066c"  # decimal, thousands
_PHONE = r"(?:\+ ?)?\(?\d(?:[\d \u00a0().\/-]*\d)?"
_PHONE_IN_AUTO = (
    r"\+ ?\d[\d \u00a0().\/-]{3,}\d|(?:\d[ -]?)?\(\d{2,5}\) ?\d[\d \u00a0.\/-]*\d|(?:\d[-.])?\d{3}[-.]\d{3}[-.]\d{4}"
    r"|\d{3}-\d{4}|(?:\d-)?(?:\d{3}-)?\d{3}-\d\d-\d\d|0\d(?:[.-]\d\d){4}"
    r"|0\d{1,4}(?:[\/-]| (?=(?:\d ?){5}))\d{3,}(?:[ -]\d+)*"
)
_DATE = r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)|(?P<d2>\d{1,2})(?P<mark>[./])(?P<mo2>\d{1,2})(?P=mark)(?P<y2>\d{4})"
_ENGLISH_MONTHS = "|".join(LANGUAGES["en"].months)
_YEAR_AFTER_COMMA = re.compile(rf"\b((?:{_ENGLISH_MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?),\s(?=\d{{4}}\b)", re.IGNORECASE)
_OPTIONAL = {"en": frozenset({"and"})}
"""Words that a number may leave out: "three hundred sixteen"."""
_INSTEAD = {"es": {"veintiún": "veintiuno", "un": "uno"}}
"""Forms that recorded prompts often lack, and those they have: "veintiuno mil" is understood."""

_Items = list[str | Pause]


def read(text: str, how: ReadMode = "auto", language: str = "en", vocabulary: Collection[str] = SPOKEN) -> Reading:
    """Read a text's numbers as words.

    Args: text, in which a comma before white space is a short pause, "[0.5s]" an exact one; how, by which words are
        read as they are; language, one of `LANGUAGES`, not needed for digits; vocabulary, for "digits" alone.

    Returns: the words, in lower case, without hyphens: ["twenty", "one"]; and the pauses between them.

    Raises: InputError for an unknown mode or language, another script, a number that is not written as the language and
        the mode write it, nothing to say, too much of it; or num2words is not installed.

    Example:
        read("42", "cardinal").words == ["forty", "two"]
    """
    if how not in get_args(ReadMode):
        raise InputError(f"read is {shown(how)}; it must be one of {', '.join(get_args(ReadMode))}")
    if not isinstance(text, str):
        raise InputError(f'the text is {shown(text)} ({type(text).__name__}); give a string, e.g. "4 7 2"')
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters; at most {MAX_CHARACTERS} can be read, so split it up")
    pieces = split_pauses(_YEAR_AFTER_COMMA.sub(r"\1 ", text) if how == "auto" and language == "en" else text)
    if how == "digits":
        return _digits(text, pieces, vocabulary)
    if language not in LANGUAGES:
        raise InputError(
            f"there are no rules for numbers in the language {shown(language)}; there are for "
            f"{', '.join(LANGUAGES)}: write the words, or read digits"
        )
    scanner = _Scanner(LANGUAGES[language], how)
    found = joined([item for piece in pieces for item in (scanner.scan(piece) if isinstance(piece, str) else [piece])])
    if not found.words:
        raise InputError(f"the text {shown(text)} has no words to say; write a number, e.g. 42")
    if len(found.words) > MAX_WORDS:
        count = len(found.words)
        raise InputError(f"the text has {count} words; at most {MAX_WORDS} can be said at once, so split it up")
    return found


def fit(reading: Reading, vocabulary: Collection[str], language: str) -> Reading:
    """A reading in the words that a voice has: "and" left out where it has none, "veintiuno" for "veintiún", compounds
    in parts.

    A word that the vocabulary lacks is replaced by the fewest of its words that make it up ("einundzwanzig" by "ein",
    "und", "zwanzig"), else kept, for the voice to refuse.
    """

    def fitted(word: str) -> list[str]:
        if word not in vocabulary:
            word = _INSTEAD.get(language, {}).get(word, word)
        if word in vocabulary or (parts := _parts(word, vocabulary)) is None:
            return [] if word in _OPTIONAL.get(language, ()) and word not in vocabulary else [word]
        return parts

    return reading.replaced(fitted)


def _parts(word: str, vocabulary: Collection[str]) -> list[str] | None:
    """The fewest words of the vocabulary, two letters or more each, that joined are the word."""
    if len(word) > 200:
        return None
    best: list[list[str] | None] = [[]]
    for end in range(1, len(word) + 1):
        ways = [
            [*head, word[begin:end]]
            for begin in range(end - 1)
            if (head := best[begin]) is not None and word[begin:end] in vocabulary
        ]
        best.append(min(ways, key=len, default=None))
    return best[-1]


def _digits(text: str, pieces: Sequence[str | Pause], vocabulary: Collection[str]) -> Reading:
    """The words of `normalize.words`, which checks the text as a whole, and the pauses."""
    exact = [piece for piece in pieces if isinstance(piece, Pause) and piece.seconds is not None]
    whole = words(re.sub(r"\[[^\[\]]*\]", " ", text) if exact else text, vocabulary)
    items: _Items = []
    for piece in pieces:
        if isinstance(piece, Pause):
            items.append(piece)
            continue
        try:
            items += words(piece, vocabulary)
        except InputError:  # only because it has no words: the whole has been checked
            continue
    found = joined(items)
    assert found.words == whole, (found.words, whole)
    return found


class _Scanner:
    """Reads pieces of a text from left to right; each rule of the mode is tried at the beginning of a word."""

    def __init__(self, language: Language, how: ReadMode) -> None:
        self._language, self._how = language, how
        self._rules = _rules(language.code, how)

    def scan(self, piece: str) -> _Items:
        text = _prepared(piece, self._language)
        items: _Items = []
        place = 0
        while place < len(text):
            for pattern, rule in self._rules:
                if match := pattern.match(text, place):
                    items += rule(match)
                    place = match.end()
                    break
            else:
                if skipped := _SEPARATORS.match(text, place):
                    place = skipped.end()
                    continue
                word = re.compile(r"\S+").match(text, place)
                assert word, text[place:]
                items += self._words(word[0])
                place = word.end()
        return items

    def _words(self, piece: str) -> list[str]:
        """What no rule reads: words, or a number that is not written as the mode writes it."""
        language = self._language
        if any(unicodedata.category(c)[0] in "NS" for c in piece):
            kind = "" if self._how == "auto" else f" as {self._how}"
            raise InputError(
                f"{shown(piece)} cannot be read{kind} in {language.name}; numbers are written as {_example(language)}"
            )
        if not in_script(piece, language):
            raise InputError(
                f"{shown(piece)} is in another script than {language.name}, the language of the voice; write "
                f"{language.name} words or numerals"
            )
        found = [part for part in re.split(r"[-\s;!?,.:\"()\u201c\u201d\u00ab\u00bb\u201e\u2026]+", piece) if part]
        for part in found:
            marks = [c for c in part if not (c.isalpha() or unicodedata.category(c)[0] == "M" or c == "'")]
            if marks or ORDINAL_INDICATORS & set(part) or not any(c.isalpha() for c in part):
                raise InputError(f"{shown(part)} is neither a word nor a number; leave it out")
        return found


def _example(language: Language) -> str:
    group, decimal = language.groups[0].replace("\u00a0", " "), language.decimal
    return f"42, -5, 1{group}000, 3{decimal}14, 7:05, €12{decimal}50, 50 %, +1 555 0100"


def _prepared(text: str, language: Language) -> str:
    """Lower case, digits and marks in ASCII, one kind of dash and of unbreakable space, accents composed."""
    plain = []
    for c in unicodedata.normalize("NFC", text):
        category = unicodedata.category(c)
        if category == "Nd":
            plain.append(str(unicodedata.decimal(c)))
        elif category == "Pd" or c == "\u2212":
            plain.append("-")
        elif "\uff01" <= c <= "\uff5e":  # full width
            plain.append(chr(ord(c) - 0xFEE0).lower())
        elif c in "\uffe1\u066a":
            plain.append("£" if c == "\uffe1" else "%")
        elif c in _SPACES_IN_NUMBERS:
            plain.append("\u00a0")
        elif category.startswith("Z") or c in "\t\n\v\f\r":
            plain.append(" ")
        elif c in _ARABIC_MARKS:
            plain.append(language.decimal if c == _ARABIC_MARKS[0] else language.groups[0])
        elif category == "Cs":
            raise InputError(f"the text is not valid Unicode (U+{ord(c):04X}); give it in UTF-8")
        elif category == "Cc":
            raise InputError(f"the text holds the control character U+{ord(c):04X}; remove it")
        elif category != "Cf":
            plain.append("'" if c == "\u2019" else c.lower())
    return unicodedata.normalize("NFC", "".join(plain))


_Reader = tuple[str, Callable[[re.Match[str]], Sequence[str | Pause]]]
_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], Sequence[str | Pause]]]


@cache
def _rules(code: str, how: ReadMode) -> tuple[_Rule, ...]:
    """Patterns and what reads them, in the order in which they are tried."""
    from tts.text.number_words import NumberWords  # not above: a voice of digits starts without

    language = LANGUAGES[code]
    speaker = NumberWords(language)
    number = _number_pattern(language)
    sum_ = _number_pattern(language, extra=" ")  # "$12 500" is one amount even where "12 500" is two numbers
    signs = "|".join(re.escape(sign) for sign in sorted(language.money, key=len, reverse=True))
    money = (
        rf"(?P<minus>-?)(?P<sign>{signs})[ \u00a0]?(?P<number>{sum_})"
        rf"|(?P<minus2>-?)(?P<number2>{sum_})[ \u00a0]?(?P<sign2>{signs})"
    )
    whole = r"\d+" if language.code == "de" else _whole_pattern(language)  # "1.000." ends a sentence
    ordinal = rf"(?P<n>{whole})(?P<suffix>{language.ordinals})"
    percentage = rf"(?P<number>{number})[ \u00a0]?%"
    by_name: dict[str, list[_Reader]] = {
        "date": [(_DATE, speaker.date), (_named_date(language), speaker.named_date)],
        "time": [(language.times, speaker.time)],
        "money": [(money, speaker.amount)],
        "phone": [(_PHONE_IN_AUTO, speaker.telephone)],
        "ordinal": [(ordinal, speaker.ordinal)],
        "cardinal": [(percentage, speaker.percentage), (number, speaker.number)],
    }
    by_mode: dict[str, list[_Reader]] = {
        "auto": [
            rule
            for name in by_name
            for rule in ([(ordinal, speaker.ordinal_or_end)] if name == "ordinal" else by_name[name])
        ],
        "cardinal": by_name["cardinal"],
        "ordinal": [*by_name["ordinal"], (r"(?P<n>\d+)(?P<suffix>)", speaker.ordinal)],
        "time": [*by_name["time"], (r"(?P<h>\d{1,2})(?P<m>)", speaker.time)],
        "money": by_name["money"],
        "phone": [(_PHONE, speaker.telephone)],
        "phone-double": [(_PHONE, NumberWords(language, doubles=how == "phone-double").telephone)],
    }
    return tuple((re.compile(rf"(?:{pattern}){_END}"), rule) for pattern, rule in by_mode[how])


def _named_date(language: Language) -> str:
    """ "21. März 2024", "1 de mayo", in English "March 21st" as well; a year of four digits or none."""
    months, space = "|".join(language.months), "[ \u00a0]"
    day, year = r"(?:0?[1-9]|[12]\d|3[01])", r"\d{4}"
    suffix = f"(?:{language.ordinals})?" if language.code in ("en", "de", "fr", "ru") else ""
    of = f"(?:de{space})?" if language.code in ("es", "pt") else ""
    end = rf"(?:{space}(?:года|г\.))?" if language.code == "ru" else ""
    first = rf"(?P<d>{day}){suffix}{space}{of}(?P<name>{months})(?:{space}{of}(?P<y>{year}){end})?"
    # Month first is English alone; elsewhere nothing matches it.
    months = months if language.code == "en" else "(?!)"
    return rf"{first}|(?P<name2>{months}){space}(?P<d2>{day}){suffix}(?:{space}(?P<y2>{year}))?"


def _number_pattern(language: Language, extra: str = "") -> str:
    """Grouped (by `extra` marks as well) or not, with a fraction or without; without names, so that it can stand twice
    in a pattern."""
    fraction = rf"{re.escape(language.decimal)}\d+"
    return rf"-?(?:{_whole_pattern(language, extra)}(?:{fraction})?|{fraction})"


def _whole_pattern(language: Language, extra: str = "") -> str:
    grouped = "|".join(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+" for mark in language.groups + extra)
    return rf"(?:{grouped}|\d+)"
