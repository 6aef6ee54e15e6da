"""Numbers as words: what `reading` has found in a text, by num2words, and by rules of our own where it has none."""

import datetime
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tts.core.errors import InputError
from tts.core.extras import require
from tts.core.messages import shown
from tts.text.languages import Gender, Language, Noun
from tts.text.pauses import SHORT, Pause

if TYPE_CHECKING:
    from decimal import Decimal

LARGEST = 10**12 - 1
MAX_FRACTION = 20
"""Digits after a decimal mark; 6 in Russian, which names their place."""


class NumberWords:
    """What the patterns of `reading` find, as words of a language."""

    def __init__(self, language: Language, doubles: bool = False) -> None:
        self._language, self._doubles = language, doubles
        if doubles and language.code != "en":
            raise InputError(f'"double seven" is English; read {language.name} telephone numbers as phone')

    def number(self, match: re.Match[str]) -> list[str]:
        """A number, with a minus and a fraction or without."""
        return self._decimal(match[0])

    def _decimal(self, written: str) -> list[str]:
        """A number as `reading` finds it."""
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

    def percentage(self, match: re.Match[str]) -> list[str]:
        """A number before a percent sign."""
        language, written = self._language, match["number"]
        noun, spoken = language.percent, self._decimal(written)
        whole, mark, _ = written.lstrip("-").partition(language.decimal)
        if language.code == "de" and not mark:
            spoken[-1] = re.sub("eins$", "ein", spoken[-1])
        # A Russian fraction counts a part of one: "две десятых процента".
        form = noun.few or noun.many if mark else self._form(int(re.sub(r"\D", "", whole)), noun)
        return [*spoken, *form.split()]

    def _cardinal(self, n: int) -> list[str]:
        if n > LARGEST:
            raise InputError(f"{n} is too large; numbers are read up to {LARGEST:,}: read it as digits")
        return _num2words(n, self._language)

    def _each(self, digits: str) -> list[str]:
        return [word for digit in digits for word in self._cardinal(int(digit))]

    def ordinal(self, match: re.Match[str]) -> list[str]:
        """The 21st. Raises InputError where there is no such ordinal."""
        language, suffix, written = self._language, match["suffix"], re.sub(r"\D", "", match["n"])
        n = int(written) if _check_length(written) else 0
        if not 1 <= n <= language.largest_ordinal:
            raise InputError(
                f"{shown(match[0])} is no ordinal that {language.name} can read here; they go from 1 to "
                f"{language.largest_ordinal:,}"
            )
        if language.code == "en" and suffix and suffix != (right := _english_suffix(n)):
            raise InputError(f"{shown(match[0])} is no English ordinal; did you mean {n}{right}?")
        feminine = suffix.endswith(("ª", "re", "я"))
        if language.code == "ru":
            gender = "f" if feminine else "n" if suffix.endswith("е") else "m"  # noqa: RUF001
            return _num2words(n, language, to="ordinal", gender=gender)
        if language.code == "de":
            of_a_month = re.match(rf"\s*(?:{'|'.join(language.months)})\b", match.string[match.end() :])
            return self._german_ordinal(n, match, "r" if of_a_month else "")
        spoken = _num2words(n, language, to="ordinal")
        if language.code == "fr" and feminine:
            return ["première"] if n == 1 else spoken
        if feminine:
            return [word[:-1] + "a" if word.endswith("o") else word for word in spoken]
        if suffix.endswith("er") and language.code == "es":
            return [*spoken[:-1], re.sub("(primer|tercer)o$", r"\1", spoken[-1])]
        return spoken

    def ordinal_or_end(self, match: re.Match[str]) -> list[str]:
        """An ordinal; in German a cardinal where the point ends a text with words before it: "Zimmer 101."."""
        word = _word_before(match)
        ends = self._language.code == "de" and not match.string[match.end() :].strip()
        if ends and word and word not in _DATIVE | _ARTICLES:
            return self._cardinal(int(match["n"])) if _check_length(match["n"]) else []
        return self.ordinal(match)

    def _german_ordinal(self, n: int, match: re.Match[str], alone: str) -> list[str]:
        """ "dritte" after an article, "dritten" after what takes a dative; else with the ending `alone`."""
        word = _word_before(match)
        ending = "n" if word in _DATIVE else "" if word in _ARTICLES else alone
        *head, last = _num2words(n, self._language, to="ordinal")
        return [*head, last + ending]

    def time(self, match: re.Match[str]) -> list[str]:
        """A time of day, of 12 or 24 hours. Raises InputError where there is none."""
        found, language = match.groupdict(), self._language
        hour, minute = int(found["h"] or found["h2"]), int(found["m"] or found.get("m2") or 0)
        half = found.get("half") or found.get("half2")
        midnight = hour == 24 and not minute  # the end of a day
        if minute > 59 or not (1 <= hour <= 12 if half else hour <= 23 or midnight):
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
        """A date in numerals. Raises InputError where there is none."""
        year, month, day = (int(match[name] or match[f"{name}2"]) for name in ("y", "mo", "d"))
        if self._language.code == "en" and not match["y"]:
            raise InputError(f"{shown(match[0])} may have the day or the month first; write e.g. 2024-03-21")
        return self._date(match, day, month, year)

    def named_date(self, match: re.Match[str]) -> list[str]:
        """A date with the month's name, with a year or without. Raises InputError where there is none."""
        found = match.groupdict()
        day_first = found["name"] is not None
        month = self._language.months.index(found["name"] or found["name2"]) + 1
        day, year = (found["d"], found["y"]) if day_first else (found["d2"], found["y2"])
        return self._date(match, int(day), month, int(year) if year else None, day_first)

    def _date(self, match: re.Match[str], day: int, month: int, year: int | None, day_first: bool = False) -> list[str]:
        try:
            datetime.date(2000 if year is None else year, month, day)
        except ValueError:
            raise InputError(f"{shown(match[0])} is no date; write year, month and day, e.g. 2024-03-21") from None
        language = self._language
        name, code = language.months[month - 1], language.code
        of = ["de"] if code in ("es", "pt") else []
        if code == "en":
            number = _num2words(day, language, to="ordinal")
            spoken = [*number, "of", name] if day_first else [name, *number]
        elif code == "de":
            spoken = [*self._german_ordinal(day, match, "r"), name]
        elif code == "ru":
            spoken = [*_num2words(day, language, to="ordinal", gender="n"), name]
        else:
            first = day == 1 and code in ("fr", "it")
            spoken = [*(_num2words(1, language, to="ordinal") if first else self._cardinal(day)), *of, name]
        return spoken if year is None else [*spoken, *of, *self._year(year)]

    def _year(self, year: int) -> list[str]:
        language, code = self._language, self._language.code
        if code == "ru":
            return [*_num2words(year, language, to="ordinal", case="g", gender="m"), "года"]
        by_hundreds = code == "en" or (code == "de" and 1100 <= year < 2000)
        return _num2words(year, language, to="year") if by_hundreds else self._cardinal(year)

    def amount(self, match: re.Match[str]) -> list[str]:
        """An amount of money."""
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
        form = self._form(n, noun)
        of = self._language.of if n and n % 1_000_000 == 0 else ""
        if of and self._language.code == "fr" and form[0] in "aeiou":
            return [*self._counted(n, noun.gender), f"d'{form}"]
        return [*self._counted(n, noun.gender), *([of] if of else []), form]

    def _form(self, n: int, noun: Noun) -> str:
        if self._language.code == "ru":
            few = n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14)
            return noun.one if n % 10 == 1 and n % 100 != 11 else noun.few if few else noun.many
        return noun.one if n == 1 or (n == 0 and self._language.code == "fr") else noun.many

    def _counted(self, n: int, gender: Gender) -> list[str]:
        """A cardinal before a noun: "un", "una", "veintiún", "ein"."""
        spoken = self._cardinal(n)
        if not n:
            return spoken
        code, last = self._language.code, spoken[-1]
        if code == "es" and gender == "m":
            last = "veintiún" if last == "veintiuno" else "un" if last == "uno" else last
        elif code == "es":
            head, rest = _after_millions(spoken)
            spoken = head + [re.sub("(cient|quinient)os$", r"\1as", word) for word in rest]
            last = re.sub("uno$", "una", spoken[-1])
        elif code == "pt" and gender == "f":
            head, rest = _after_millions(spoken)
            feminine = {"um": "uma", "dois": "duas"}
            spoken = head + [feminine.get(word, re.sub("entos$", "entas", word)) for word in rest]
            last = spoken[-1]
        elif code == "fr" and gender == "f":
            last = "une" if last == "un" else last
        elif code == "it" and n == 1:
            last = "una" if gender == "f" else "un"
        elif code == "de":
            last = re.sub("eins$", "ein", last)
        elif code == "ru" and gender == "f":
            return _num2words(n, self._language, gender="f")
        return [*spoken[:-1], last]

    def telephone(self, match: re.Match[str]) -> list[str | Pause]:
        """A telephone number, digit by digit, with short pauses between its groups."""
        groups = re.findall(r"\d+", match[0])
        if len(groups) == 1:
            groups = re.findall(r"\d{3}(?=\d\d)|\d+", groups[0])  # in threes, the last of them up to four
        items: list[str | Pause] = [self._language.plus] if match[0].startswith("+") else []
        for group in groups:
            items += self._doubled(group) if self._doubles else self._each(group)
            items.append(SHORT)
        return items

    def _doubled(self, digits: str) -> list[str]:
        """ "77" as "double seven", "777" as "triple seven"."""
        spoken: list[str] = []
        for same in re.finditer(r"(\d)(?:\1(?=\1\1(?!\1))|\1{0,2})", digits):  # of four left, two and two
            spoken += [*{2: ["double"], 3: ["triple"]}.get(len(same[0]), []), *self._each(same[1])]
        return spoken


_TIMES: dict[str, Callable[[NumberWords, int, int, str | None], list[str]]] = {
    "en": NumberWords._english_time,
    "es": NumberWords._hours_and_minutes,
    "it": NumberWords._hours_and_minutes,
    "fr": NumberWords._french_time,
    "de": NumberWords._german_time,
    "pt": NumberWords._portuguese_time,
    "ru": NumberWords._russian_time,
}
_DATIVE = frozenset(["am", "vom", "zum", "beim", "im", "dem", "den", "zur", "seit", "bis", "ab"])
_ARTICLES = frozenset(["der", "die", "das"])
_CORRECTED: dict[str, tuple[tuple[str, str], ...]] = {
    "es": (
        *((r"veintiuno(?= mil)", "veintiún"), (r"\buno(?= mil)", "un")),
        *(("décimoprimero", "undécimo"), ("décimosegundo", "duodécimo"), ("cuadrig", "cuadring"), ("quadra", "cuadra")),
        *(("septig", "septing"), ("octig", "octing")),
    ),
    "de": ((r"eins(?=tausend)", "ein"), (r"eins(?= milli)", "eine")),
    "fr": ((r"(vingt|cent)sième", r"\1ième"),),
    "it": ((r"(?<=\w)tre\b", "tré"),),
    "pt": (("quadrig", "quadring"), ("septig", "septing"), ("octig", "octing")),
}
"""Where num2words is wrong: patterns, and what is said."""


def _word_before(match: re.Match[str]) -> str:
    """The word before what was found, "" where there is none."""
    before = re.search(r"([^\W\d]+) +$", match.string[: match.start()])
    return before[1] if before else ""


def _after_millions(spoken: list[str]) -> tuple[list[str], list[str]]:
    """A number's words up to its last "millions", which are what that counts, and those that count what follows."""
    end = max((i + 1 for i, word in enumerate(spoken) if re.match("mil[lh]", word)), default=0)
    return spoken[:end], spoken[end:]


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
    for wrong, right in _CORRECTED.get(language.code, ()):
        said = re.sub(wrong, right, said)
    return said.replace("-", " ").replace(",", " ").split()
