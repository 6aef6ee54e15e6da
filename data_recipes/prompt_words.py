"""What the prompts of telephone systems say: from the names of Asterisk's and FreeSWITCH's files to words, by language.

Only names whose recording is one word, known for sure, are here: of the alphabets those of English and Russian, and of
the numbers, which are num2words', those without a hyphen, which parts words ("dix-sept" is two). Words are written as
in their language, letters as the letter. Where a language has several forms, it is the one of Asterisk's core sounds:
Russian months in the genitive, ordinals in the masculine.
"""

import functools
import string
from collections.abc import Mapping

from tts.core.extras import require
from tts.text.languages import LANGUAGES as NUMBERS

LAST_ORDINAL = {"es": 10}
"""Of a language, the last one of these; of the others the tens up to 90."""
DAYS = {
    "en": "sunday monday tuesday wednesday thursday friday saturday",
    "es": "domingo lunes martes miércoles jueves viernes sábado",
    "fr": "dimanche lundi mardi mercredi jeudi vendredi samedi",
    "it": "domenica lunedì martedì mercoledì giovedì venerdì sabato",
    "ru": "воскресенье понедельник вторник среда четверг пятница суббота",
}
OTHERS = {
    "en": "hundred:hundred thousand:thousand million:million billion:billion minus:minus dollars:dollars pound:pound "
    "star:star at:at oh:oh oclock:o'clock today:today tomorrow:tomorrow yesterday:yesterday and:and "
    "h-hundred:hundredth h-thousand:thousandth h-million:millionth h-billion:billionth",
    "es": "hundred:cien 100-and:ciento thousand:mil million:millón millions:millones minus:menos dollars:dólares y:y "
    "and:y today:hoy tomorrow:mañana yesterday:ayer 1M:un 1F:una 21:veintiuno 22:veintidós 23:veintitrés "
    "24:veinticuatro 25:veinticinco 26:veintiséis 27:veintisiete 28:veintiocho 29:veintinueve 200:doscientos "
    "300:trescientos 400:cuatrocientos 500:quinientos 600:seiscientos 700:setecientos 800:ochocientos 900:novecientos",
    "fr": "hundred:cent thousand:mille million:million minus:moins dollars:dollars et:et and:et "
    "today:aujourd'hui tomorrow:demain yesterday:hier",
    "it": "hundred:cento thousand:mille million:milione millions:milioni minus:meno dollars:dollari euros:euro un:un "
    "and:e hours:ore minutes:minuti today:oggi tomorrow:domani yesterday:ieri ore-mezzanotte:mezzanotte",
    "ru": "hundred:сто thousand:тысяча million:миллион billion:миллиард minus:минус at:в star:звёздочка 1n:одно "
    "dollars:долларов pound:фунтов oclock:часов today:сегодня tomorrow:завтра yesterday:вчера",
}
SYMBOLS = {
    "en": "zed:zed at:at dash:dash dot:dot slash:slash plus:plus equals:equals dollar:dollar space:space "
    "asterisk:asterisk",
    "es": "",
    "fr": "",
    "it": "",
    "ru": "dash:дефис dot:точка slash:слэш plus:плюс equals:равно dollar:доллар space:пробел",
}
PHONETIC = {
    "en": "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec "
    "romeo sierra tango uniform victor whiskey xray yankee zulu",
    "ru": "альфа браво чарли дельта эхо фокстрот гольф отель индия джульетта кило лима майк ноябрь оскар папа квебек "
    "ромео сьерра танго униформа виктор виски рентген янки зулу",
}
NINER = {"en": {"9_p": "niner"}}
LANGUAGES = tuple(DAYS)
KINDS = {"digits": 0, "time": 1, "letters": 2, "ascii": 3, "phonetic": 4, "phonetic-ascii": 5}
"""The folders of both systems: `time`, `ascii` and `phonetic-ascii`, named by character codes, are FreeSWITCH's."""


def words_of(language: str, kind: str) -> Mapping[str, str]:
    """From the names of the files, without suffix, in the folder `kind` of a language to the word that each says."""
    if kind in ("digits", "time"):
        return _digits(language)
    letters = {letter: letter for letter in string.ascii_lowercase}
    alphabet = dict(zip(string.ascii_lowercase, PHONETIC.get(language, "").split(), strict=False))
    if kind == "letters":
        return {**letters, **_pairs(SYMBOLS[language])}
    if kind == "phonetic":
        return {f"{letter}_p": word for letter, word in alphabet.items()} | NINER.get(language, {})
    return {str(ord(letter)): word for letter, word in (letters if kind == "ascii" else alphabet).items()}


@functools.cache
def _digits(language: str) -> dict[str, str]:
    names = {}
    for n in (*range(20), *range(20, 100, 10)):
        names[str(n)] = _number(n, language, "cardinal")
        if 0 < n <= LAST_ORDINAL.get(language, n):
            names[f"h-{n}"] = _number(n, language, "ordinal")
    names = {name: word for name, word in names.items() if not {" ", "-"} & set(word)}
    names |= {f"day-{k}": word for k, word in enumerate(DAYS[language].split())}
    names |= {f"mon-{k}": word for k, word in enumerate(NUMBERS[language].months)}
    if language == "it":  # a ten loses its vowel before "uno" and "otto": trentuno, trentotto
        for ten in range(2, 10):
            names |= {f"{ten}{unit}": f"{names[f'{ten}0'][:-1]}{names[str(unit)]}" for unit in (1, 8)}
    return names | _pairs(OTHERS[language])


def _number(n: int, language: str, kind: str) -> str:
    require("train", "num2words")
    from num2words import num2words

    return str(num2words(n, lang=language, to=kind))


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())
