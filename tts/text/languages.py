"""What reading a number takes in each language, beside the number words themselves: marks, months, money.

One entry of `LANGUAGES` a language. Number words come from num2words.
"""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

Gender = Literal["m", "f"]

_COLON = r"(?P<h>\d{1,2}):(?P<m>\d\d)"
_WITH_H = _COLON + r"(?: ?h)?|(?P<h2>\d{1,2}) ?h(?: ?(?P<m2>\d\d))?"


@dataclass(frozen=True)
class Noun:
    """What is counted: "dollar", "dollars". `few` is the Russian form after 2, 3 and 4."""

    one: str
    many: str
    gender: Gender = "m"
    few: str = ""


@dataclass(frozen=True, kw_only=True)
class Language:
    """How a language writes and reads numbers."""

    name: str
    code: str
    decimal: str = ","
    """The decimal mark; `point` is how it is read."""
    groups: str
    """The marks between groups of three digits, one of which a number may use."""
    point: str
    minus: str
    plus: str
    months: tuple[str, ...]
    ordinals: str
    """A regular expression of what follows the digits of an ordinal."""
    times: str = _WITH_H
    """A regular expression with the groups h and m, and the English half of the day."""
    cents: str
    """Between an amount and its hundredths."""
    of: str = ""
    """Between millions and what is counted."""
    percent: Noun
    money: dict[str, tuple[Noun, Noun]] = field(default_factory=dict)
    """The noun and that of its hundredths, by the sign and the code that stand for it in a text."""
    largest_ordinal: int = 999_999
    script: str = "LATIN"


def _money(*currencies: tuple[str, Noun, Noun]) -> dict[str, tuple[Noun, Noun]]:
    return {sign: (noun, cents) for signs, noun, cents in currencies for sign in signs.split()}


def _months(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_SPACES = "\u00a0 "  # the first stands for every space that does not break a line

_ENGLISH = Language(
    name="English",
    code="en",
    decimal=".",
    groups=",\u00a0",
    point="point",
    minus="minus",
    plus="plus",
    months=_months("january february march april may june july august september october november december"),
    ordinals="st|nd|rd|th",
    times=_COLON + r"(?: ?(?P<half>[ap])\.? ?m\.?)?|(?P<h2>\d{1,2}) ?(?P<half2>[ap])\.? ?m\.?",
    cents="and",
    percent=Noun("percent", "percent"),
    money=_money(
        ("$ us$ usd", Noun("dollar", "dollars"), Noun("cent", "cents")),
        ("€ eur", Noun("euro", "euros"), Noun("cent", "cents")),
        ("£ gbp", Noun("pound", "pounds"), Noun("penny", "pence")),
    ),
)
_SPANISH = Language(
    name="Spanish",
    code="es",
    groups="." + _SPACES,
    point="coma",
    minus="menos",
    plus="más",
    months=_months("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
    ordinals=r"\.?[ºª°]|\.?er",
    cents="con",
    of="de",
    percent=Noun("por ciento", "por ciento"),
    money=_money(
        ("$ us$ usd", Noun("dólar", "dólares"), Noun("centavo", "centavos")),
        ("€ eur", Noun("euro", "euros"), Noun("céntimo", "céntimos")),
        ("£ gbp", Noun("libra", "libras", "f"), Noun("penique", "peniques")),
    ),
    largest_ordinal=1000,
)
_FRENCH = Language(
    name="French",
    code="fr",
    groups=".'" + _SPACES,
    point="virgule",
    minus="moins",
    plus="plus",
    months=_months("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    ordinals="er|re|ère|ème|eme|e",
    cents="et",
    of="de",
    percent=Noun("pour cent", "pour cent"),
    money=_money(
        ("$ us$ usd", Noun("dollar", "dollars"), Noun("cent", "cents")),
        ("€ eur", Noun("euro", "euros"), Noun("centime", "centimes")),
        ("£ gbp", Noun("livre", "livres", "f"), Noun("penny", "pence")),
    ),
)
_ITALIAN = Language(
    name="Italian",
    code="it",
    groups=".'" + _SPACES,
    point="virgola",
    minus="meno",
    plus="più",
    months=_months("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"),
    ordinals="[ºª°]",
    times=_COLON,
    cents="e",
    of="di",
    percent=Noun("per cento", "per cento"),
    money=_money(
        ("$ us$ usd", Noun("dollaro", "dollari"), Noun("centesimo", "centesimi")),
        ("€ eur", Noun("euro", "euro"), Noun("centesimo", "centesimi")),
        ("£ gbp", Noun("sterlina", "sterline", "f"), Noun("penny", "penny")),
    ),
)
_GERMAN = Language(
    name="German",
    code="de",
    groups=".'" + _SPACES,
    point="komma",
    minus="minus",
    plus="plus",
    months=_months("januar februar märz april mai juni juli august september oktober november dezember"),
    ordinals=r"\.(?![\w.])",
    times=_COLON + r"(?: ?uhr)?|(?P<h2>\d{1,2})(?:\.(?P<m2>\d\d))? ?uhr",
    cents="und",
    percent=Noun("prozent", "prozent"),
    money=_money(
        ("$ us$ usd", Noun("dollar", "dollar"), Noun("cent", "cent")),
        ("€ eur", Noun("euro", "euro"), Noun("cent", "cent")),
        ("£ gbp", Noun("pfund", "pfund"), Noun("penny", "pence")),
    ),
)
_PORTUGUESE = Language(
    name="Portuguese",
    code="pt",
    groups="." + _SPACES,
    point="vírgula",
    minus="menos",
    plus="mais",
    months=_months("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro"),
    ordinals=r"\.?[ºª°]",
    cents="e",
    of="de",
    percent=Noun("por cento", "por cento"),
    money=_money(
        ("$ us$ usd", Noun("dólar", "dólares"), Noun("cêntimo", "cêntimos")),
        ("€ eur", Noun("euro", "euros"), Noun("cêntimo", "cêntimos")),
        ("£ gbp", Noun("libra", "libras", "f"), Noun("péni", "pence")),
        ("r$ brl", Noun("real", "reais"), Noun("centavo", "centavos")),
    ),
    largest_ordinal=1000,
)
_RUSSIAN = Language(
    name="Russian",
    code="ru",
    groups=_SPACES,
    point="",  # "3,14" is three whole and fourteen hundredths
    minus="минус",
    plus="плюс",
    months=_months("января февраля марта апреля мая июня июля августа сентября октября ноября декабря"),
    ordinals="-?(?:ый|ой|ий|й|ая|я|ое|е)",
    times=_COLON,
    cents="",
    percent=Noun("процент", "процентов", few="процента"),
    money=_money(
        ("$ us$ usd", Noun("доллар", "долларов", few="доллара"), Noun("цент", "центов", few="цента")),
        ("€ eur", Noun("евро", "евро", few="евро"), Noun("цент", "центов", few="цента")),
        ("£ gbp", Noun("фунт", "фунтов", few="фунта"), Noun("пенс", "пенсов", few="пенса")),
        ("₽ rub руб руб.", Noun("рубль", "рублей", few="рубля"), Noun("копейка", "копеек", "f", "копейки")),
    ),
    script="CYRILLIC",
)

LANGUAGES = {
    language.code: language for language in (_ENGLISH, _SPANISH, _FRENCH, _ITALIAN, _GERMAN, _PORTUGUESE, _RUSSIAN)
}
"""By their ISO 639-1 codes."""

ORDINAL_INDICATORS = frozenset("ºª")
"""Letters to Unicode, of no script, and part of no word."""


def in_script(text: str, language: Language) -> bool:
    """Whether all letters of a text are of the script in which the language is written."""
    letters = (c for c in text if c.isalpha() and c not in ORDINAL_INDICATORS)
    return all(unicodedata.name(c, "").startswith(language.script) for c in letters)
