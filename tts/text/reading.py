"""Numbers as people write them to words: "42" to "forty two", "7:05" to "seven oh five", "$12.50" to dollars and cents.

The number words are num2words'; here is what it lacks: which marks a language writes numbers with, decimals, leading
zeros, times, dates, the grammar of amounts, telephone numbers. What can be read in two ways is refused rather than
guessed at: "3/4/2024", "1.50" in German. `digits` is `normalize.words`, and knows nothing of all this.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.messages import shown
from tts.text.languages import LANGUAGES, Gender, Language, Noun
from tts.text.normalize import MAX_WORDS, SPOKEN, words
from tts.text.pauses import SHORT, Pause, Reading, joined, split_pauses

if TYPE_CHECKING:
    from decimal import Decimal

ReadMode = Literal["digits", "cardinal", "ordinal", "time", "money", "phone", "phone-double", "auto"]
"""How numbers are read. "phone-double" says "double seven"; "auto" goes by what is written, dates included."""

LARGEST = 10**12 - 1
MAX_FRACTION = 20
"""Digits after a decimal mark; 6 in Russian, which names their place."""
MAX_CHARACTERS = 100_000

_END = r"(?=[\s;!?\u061b\u06d4\u3002\")\u201c\u201d\u00bb]|[.:,](?:\s|$)|$)"
_SEPARATORS = re.compile(r"[\s;!?\u061b\u06d4\u3002,.:\"()\u201c\u201d\u00ab\u00bb\u201e]+")
_SPACES_IN_NUMBERS = "\u00a0\u202f\u2009\u2007"
_ARABIC_MARKS = "\u066b\u066c"  # decimal, thousands
_PHONE = r"(?:\+ ?)?\(?\d(?:[\d \u00a0().\/-]*\d)?"
_PHONE_IN_AUTO = (
    r"\+ ?\d[\d \u00a0().\/-]{3,}\d|\(\d{2,5}\) ?\d[\d \u00a0.\/-]*\d|\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d{4}"
    r"|0\d{1,4}[\/-]\d{3,}(?:[ -]\d+)*"
)
_DATE = r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)|(?P<d2>\d{1,2})(?P<mark>[./])(?P<mo2>\d{1,2})(?P=mark)(?P<y2>\d{4})"
_OPTIONAL = {"en": frozenset({"and"})}
"""Words that a number may leave out: "three hundred sixteen"."""

_Items = list[str | Pause]


def read(text: str, how: ReadMode = "auto", language: str = "en", vocabulary: Collection[str] = SPOKEN) -> Reading:
    """Read a text's numbers as words.

    Args:
        text: numbers and words; a comma before white space is a short pause, "[0.5s]" an exact one.
        how: see `ReadMode`; words are read as they are in every mode.
        language: one of `LANGUAGES`; not needed for digits.
        vocabulary: for "digits" alone: the words that can be said, see `normalize.words`.

    Returns:
        The words, in lower case, without hyphens: ["twenty", "one"]; and the pauses between them.

    Raises:
        InputError: an unknown mode or language, another script, a number that is not written as the language and the
            mode write it, nothing to say, too much of it; or num2words is not installed.

    Example:
        read("42", "cardinal").words == ["forty", "two"]
    """
    if how not in get_args(ReadMode):
        raise InputError(f"read is {shown(how)}; it must be one of {', '.join(get_args(ReadMode))}")
    if not isinstance(text, str):
        raise InputError(f'the text is {shown(text)} ({type(text).__name__}); give a string, e.g. "4 7 2"')
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters; at most {MAX_CHARACTERS} can be read, so split it up")
    pieces = split_pauses(text)
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
    """A reading in the words that a voice has: "and" left out where it has none, compounds in parts.

    A word that the vocabulary lacks is replaced by the fewest of its words that make it up ("einundzwanzig" by "ein",
    "und", "zwanzig"), else kept, for the voice to refuse.
    """
    spoken: list[str] = []
    pauses = reading.pauses[:1]
    for word, pause in zip(reading.words, reading.pauses[1:], strict=True):
        if word in vocabulary or (parts := _parts(word, vocabulary)) is None:
            parts = [] if word in _OPTIONAL.get(language, ()) and word not in vocabulary else [word]
        spoken += parts
        pauses += [0.0] * len(parts)
        pauses[-1] += pause
    return Reading(spoken, pauses)


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
        for c in piece:
            if c.isalpha() and not unicodedata.name(c, "").startswith(language.script):
                raise InputError(
                    f"{shown(piece)} is in another script than {language.name}, the language of the voice; write "
                    f"{language.name} words or numerals"
                )
        found = [part for part in re.split(r"[-\s;!?,.:\"()\u201c\u201d\u00ab\u00bb\u201e\u2026]+", piece) if part]
        for part in found:
            marks = [c for c in part if not c.isalpha() and unicodedata.category(c)[0] != "M" and c != "'"]
            if marks or not any(c.isalpha() for c in part):
                raise InputError(f"{shown(part)} is neither a word nor a number; leave it out")
        return found


def _example(language: Language) -> str:
    group, decimal = language.groups[0].replace("\u00a0", " "), language.decimal
    return f"42, -5, 1{group}000, 3{decimal}14, 7:05, €12{decimal}50, +1 555 0100"


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
        elif c == "\uffe1":
            plain.append("£")
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
    language = LANGUAGES[code]
    speaker = _Speaker(language)
    number = _number_pattern(language)
    signs = "|".join(re.escape(sign) for sign in sorted(language.money, key=len, reverse=True))
    money = (
        rf"(?P<minus>-?)(?P<sign>{signs})[ \u00a0]?(?P<number>{number})"
        rf"|(?P<minus2>-?)(?P<number2>{number})[ \u00a0]?(?P<sign2>{signs})"
    )
    ordinal = rf"(?P<n>\d+)(?P<suffix>{language.ordinals})"
    by_name: dict[str, list[_Reader]] = {
        "date": [(_DATE, speaker.date)],
        "time": [(language.times, speaker.time)],
        "money": [(money, speaker.amount)],
        "phone": [(_PHONE_IN_AUTO, speaker.telephone)],
        "ordinal": [(ordinal, speaker.ordinal)],
        "cardinal": [(number, speaker.number)],
    }
    by_mode: dict[str, list[_Reader]] = {
        "auto": [rule for name in by_name for rule in by_name[name]],
        "cardinal": by_name["cardinal"],
        "ordinal": [*by_name["ordinal"], (r"(?P<n>\d+)(?P<suffix>)", speaker.ordinal)],
        "time": [*by_name["time"], (r"(?P<h>\d{1,2})(?P<m>)", speaker.time)],
        "money": by_name["money"],
        "phone": [(_PHONE, speaker.telephone)],
        "phone-double": [(_PHONE, _Speaker(language, doubles=how == "phone-double").telephone)],
    }
    return tuple((re.compile(rf"(?:{pattern}){_END}"), rule) for pattern, rule in by_mode[how])


def _number_pattern(language: Language) -> str:
    """Grouped or not, with a fraction or without; without names, so that it can stand twice in a pattern."""
    grouped = "|".join(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}})+" for mark in language.groups)
    fraction = rf"{re.escape(language.decimal)}\d+"
    return rf"-?(?:(?:{grouped}|\d+)(?:{fraction})?|{fraction})"


class _Speaker:
    """Says what the patterns of a language find."""

    def __init__(self, language: Language, doubles: bool = False) -> None:
        self._language, self._doubles = language, doubles
        if doubles and language.code != "en":
            raise InputError(f'"double seven" is English; read {language.name} telephone numbers as phone')

    def number(self, match: re.Match[str]) -> list[str]:
        return self._decimal(match[0])

    def _decimal(self, written: str) -> list[str]:
        """A number as `_number_pattern` finds it."""
        language = self._language
        minus, (whole, mark, fraction) = written.startswith("-"), written.lstrip("-").partition(language.decimal)
        whole = re.sub(r"\D", "", whole)
        sign = [language.minus] if minus else []
        limit = 6 if language.code == "ru" else MAX_FRACTION
        if len(fraction) > limit:
            raise InputError(f"{shown(written)} has {len(fraction)} digits after the mark; at most {limit} can be read")
        if mark and language.code == "ru":
            from decimal import Decimal

            self._cardinal(int(whole) if _check_length(whole) else 0)  # checks its size
            return [*sign, *_num2words(Decimal(f"{whole or 0}.{fraction}"), language)]
        if len(whole) > 1 and whole.startswith("0"):
            _check_length(whole)
            spoken = self._each(whole)
        else:
            spoken = self._cardinal(int(whole)) if _check_length(whole) else []
        return [*sign, *spoken, *([language.point, *self._each(fraction)] if mark else [])]

    def _cardinal(self, n: int) -> list[str]:
        if n > LARGEST:
            raise InputError(f"{n} is too large; numbers are read up to {LARGEST:,}: read it as digits")
        return _num2words(n, self._language)

    def _each(self, digits: str) -> list[str]:
        return [word for digit in digits for word in self._cardinal(int(digit))]

    def ordinal(self, match: re.Match[str]) -> list[str]:
        language, suffix = self._language, match["suffix"]
        n = int(match["n"]) if _check_length(match["n"]) else 0
        if not 1 <= n <= language.largest_ordinal:
            raise InputError(
                f"{shown(match[0])} is no ordinal that {language.name} can read here; they go from 1 to "
                f"{language.largest_ordinal:,}"
            )
        if language.code == "en" and suffix and suffix != (right := _english_suffix(n)):
            raise InputError(f"{shown(match[0])} is no English ordinal; did you mean {n}{right}?")
        feminine = suffix.endswith(("ª", "re", "я"))
        if language.code == "ru":
            gender = "f" if feminine else "n" if suffix.endswith("е") else "m"
            return _num2words(n, language, to="ordinal", gender=gender)
        spoken = _num2words(n, language, to="ordinal")
        if language.code == "fr" and feminine:
            return ["première"] if n == 1 else spoken
        if feminine:
            return [word[:-1] + "a" if word.endswith("o") else word for word in spoken]
        if suffix.endswith("er") and language.code == "es":
            return [*spoken[:-1], re.sub("(primer|tercer)o$", r"\1", spoken[-1])]
        return spoken

    def time(self, match: re.Match[str]) -> list[str]:
        found, language = match.groupdict(), self._language
        hour, minute = int(found["h"] or found["h2"]), int(found["m"] or found.get("m2") or 0)
        half = found.get("half") or found.get("half2")
        if minute > 59 or not (1 <= hour <= 12 if half else hour <= 23):
            hours = "1 to 12 with am or pm" if half else "0 to 23"
            raise InputError(f"{shown(match[0])} is no time; hours go from {hours}, minutes from 00 to 59")
        return _TIMES[language.code](self, hour, minute, half)

    def _english_time(self, hour: int, minute: int, half: str | None) -> list[str]:
        after = [half, "m"] if half else []
        if minute:
            return [*self._cardinal(hour), *(["oh"] if minute < 10 else []), *self._cardinal(minute), *after]
        whole = [] if half else ["o'clock"] if 1 <= hour <= 12 else ["hundred"]
        return [*self._cardinal(hour), *whole, *after]

    def _hours_and_minutes(self, hour: int, minute: int, half: str | None) -> list[str]:
        """Spanish and Italian: "siete y cinco", "sette e cinque"."""
        spanish = self._language.code == "es"
        spoken = self._counted(hour, "f") if spanish or hour == 1 else self._cardinal(hour)
        if not minute:
            return [*spoken, *(["en", "punto"] if spanish else ["in", "punto"])]
        return [*spoken, "y" if spanish else "e", *self._cardinal(minute)]

    def _french_time(self, hour: int, minute: int, half: str | None) -> list[str]:
        minutes = self._counted(minute, "f") if minute else []
        return [*self._counted(hour, "f"), "heure" if hour < 2 else "heures", *minutes]

    def _german_time(self, hour: int, minute: int, half: str | None) -> list[str]:
        return [*self._counted(hour, "m"), "uhr", *(self._cardinal(minute) if minute else [])]

    def _portuguese_time(self, hour: int, minute: int, half: str | None) -> list[str]:
        spoken = self._counted(hour, "f")
        return [*spoken, "e", *self._cardinal(minute)] if minute else [*spoken, "hora" if hour == 1 else "horas"]

    def _russian_time(self, hour: int, minute: int, half: str | None) -> list[str]:
        minutes = self._amount(minute, Noun("минута", "минут", "f", "минуты")) if minute else []
        return [*self._amount(hour, Noun("час", "часов", few="часа")), *minutes]

    def date(self, match: re.Match[str]) -> list[str]:
        language = self._language
        year, month, day = (int(match[name] or match[f"{name}2"]) for name in ("y", "mo", "d"))
        if language.code == "en" and not match["y"]:
            raise InputError(f"{shown(match[0])} may have the day or the month first; write e.g. 2024-03-21")
        if not (1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] and year >= 1):
            raise InputError(f"{shown(match[0])} is no date; write year, month and day, e.g. 2024-03-21")
        name, code = language.months[month - 1], language.code
        if code == "en":
            return [name, *_num2words(day, language, to="ordinal"), *_num2words(year, language, to="year")]
        if code == "de":
            said = _num2words(year, language, to="year") if 1100 <= year < 2000 else self._cardinal(year)
            return [f"{''.join(_num2words(day, language, to='ordinal'))}r", name, *said]
        if code == "ru":
            number = _num2words(day, language, to="ordinal", gender="n")
            return [*number, name, *_num2words(year, language, to="ordinal", case="g", gender="m"), "года"]
        number = _num2words(1, language, to="ordinal") if day == 1 and code in ("fr", "it") else self._cardinal(day)
        of = ["de"] if code in ("es", "pt") else []
        return [*number, *of, name, *of, *self._cardinal(year)]

    def amount(self, match: re.Match[str]) -> list[str]:
        language, found = self._language, match.groupdict()
        written = found["number"] or found["number2"]
        noun, cents = language.money[found["sign"] or found["sign2"]]
        minus = [language.minus] if found["minus"] or found["minus2"] or written.startswith("-") else []
        whole, mark, fraction = written.lstrip("-").partition(language.decimal)
        whole = re.sub(r"\D", "", whole)
        if (mark and len(fraction) != 2) or (len(whole) > 1 and whole.startswith("0")):
            raise InputError(
                f"{shown(match[0])} is no amount of money in {language.name}; write e.g. €3 or €12{language.decimal}50"
            )
        n, hundredths = int(whole) if _check_length(whole) else 0, int(fraction or 0)
        spoken = self._amount(n, noun) if n or not hundredths else []
        if hundredths:
            spoken += [*([language.cents] if spoken and language.cents else []), *self._amount(hundredths, cents)]
        return [*minus, *spoken]

    def _amount(self, n: int, noun: Noun) -> list[str]:
        """So many of a thing."""
        if self._language.code == "ru":
            few = n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14)
            form = noun.one if n % 10 == 1 and n % 100 != 11 else noun.few if few else noun.many
        else:
            form = noun.one if n == 1 or (n == 0 and self._language.code == "fr") else noun.many
        of = self._language.of if n and n % 1_000_000 == 0 else ""
        if of and self._language.code == "fr" and form[0] in "aeiou":
            return [*self._counted(n, noun.gender), f"d'{form}"]
        return [*self._counted(n, noun.gender), *([of] if of else []), form]

    def _counted(self, n: int, gender: Gender) -> list[str]:
        """A cardinal before a noun: "un", "una", "veintiún", "ein"."""
        spoken = self._cardinal(n)
        if not n:
            return spoken
        code, last = self._language.code, spoken[-1]
        if code == "es" and gender == "m":
            last = "veintiún" if last == "veintiuno" else "un" if last == "uno" else last
        elif code == "es":
            spoken = [re.sub("(cient|quinient)os$", r"\1as", word) for word in spoken] if n < 1_000_000 else spoken
            last = re.sub("uno$", "una", spoken[-1])
        elif code == "pt" and gender == "f":
            spoken = [re.sub("entos$", "entas", word) for word in spoken] if n < 1_000_000 else spoken
            last = {"um": "uma", "dois": "duas"}.get(spoken[-1], spoken[-1])
        elif code == "fr" and gender == "f":
            last = "une" if last == "un" else last
        elif code == "it" and n == 1:
            last = "una" if gender == "f" else "un"
        elif code == "de":
            last = re.sub("eins$", "ein", last)
        elif code == "ru" and gender == "f":
            return _num2words(n, self._language, gender="f")
        return [*spoken[:-1], last]

    def telephone(self, match: re.Match[str]) -> _Items:
        groups = re.findall(r"\d+", match[0])
        if len(groups) == 1:
            groups = _grouped(groups[0])
        items: _Items = [self._language.plus] if match[0].startswith("+") else []
        for group in groups:
            items += self._doubled(group) if self._doubles else self._each(group)
            items.append(SHORT)
        return items

    def _doubled(self, digits: str) -> list[str]:
        """ "77" as "double seven", "777" as "triple seven"."""
        spoken: list[str] = []
        for same in re.finditer(r"(\d)\1{0,2}", digits):
            spoken += [*{2: ["double"], 3: ["triple"]}.get(len(same[0]), []), *self._each(same[1])]
        return spoken


_TIMES: dict[str, Callable[[_Speaker, int, int, str | None], list[str]]] = {
    "en": _Speaker._english_time,
    "es": _Speaker._hours_and_minutes,
    "it": _Speaker._hours_and_minutes,
    "fr": _Speaker._french_time,
    "de": _Speaker._german_time,
    "pt": _Speaker._portuguese_time,
    "ru": _Speaker._russian_time,
}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _grouped(digits: str) -> list[str]:
    """A telephone number without groups in threes, the last of them up to four."""
    groups = []
    while len(digits) > 4:
        groups.append(digits[:3])
        digits = digits[3:]
    return [*groups, digits]


def _check_length(digits: str) -> bool:
    """Whether there are digits. Raises InputError where there are too many for a number."""
    if len(digits) > 100:
        raise InputError(f"a number of {len(digits)} digits is too large; read it as digits")
    return bool(digits)


def _english_suffix(n: int) -> str:
    return "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def _num2words(number: "int | Decimal", language: Language, **how: Any) -> list[str]:
    """What num2words says, as words: lower case, no hyphens, no commas."""
    require("read", "num2words")
    from num2words import num2words

    said = str(num2words(number, lang=language.code, **how)).lower()
    if language.code == "it":  # which num2words accents in some numbers only
        said = re.sub(r"(?<=\w)tre\b", "tré", said)
    return said.replace("-", " ").replace(",", " ").split()
