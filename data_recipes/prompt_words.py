"""What the prompts of telephone systems say: from the names of Asterisk's and FreeSWITCH's files to words, by language.

Only names whose recording is one word, known for sure, are here: of the alphabets those of English and Russian, and
nothing with a hyphen, which parts words ("dix-sept" is two). Words are written as in their language, letters as the
letter. Where a language has several forms, it is the one of Asterisk's core sounds: Russian months in the genitive,
ordinals in the masculine.
"""

import string
from collections.abc import Mapping

from tts.text.languages import LANGUAGES as NUMBERS

NUMERALS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
    "diecisiete dieciocho diecinueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove",
    "ru": "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать "
    "четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать",
}
TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "fr": "vingt trente quarante cinquante soixante",
    "it": "venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "ru": "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
}
ORDINALS = {
    "en": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth",
    "es": "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo",
    "fr": "premier deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième onzième douzième "
    "treizième quatorzième quinzième seizième",
    "it": "primo secondo terzo quarto quinto sesto settimo ottavo nono decimo undicesimo dodicesimo tredicesimo "
    "quattordicesimo quindicesimo sedicesimo diciassettesimo diciottesimo diciannovesimo",
    "ru": "первый второй третий четвёртый пятый шестой седьмой восьмой девятый десятый одиннадцатый двенадцатый "
    "тринадцатый четырнадцатый пятнадцатый шестнадцатый семнадцатый восемнадцатый девятнадцатый",
}
ORDINAL_TENS = {
    "en": "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth",
    "es": "",
    "fr": "vingtième trentième quarantième cinquantième soixantième",
    "it": "ventesimo trentesimo quarantesimo cinquantesimo sessantesimo settantesimo ottantesimo novantesimo",
    "ru": "двадцатый тридцатый сороковой пятидесятый шестидесятый семидесятый восьмидесятый девяностый",
}
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
LANGUAGES = tuple(NUMERALS)
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


def _digits(language: str) -> dict[str, str]:
    names = {str(number): word for number, word in enumerate(NUMERALS[language].split())}
    names |= {str(10 * (k + 2)): word for k, word in enumerate(TENS[language].split())}
    names |= {f"h-{k + 1}": word for k, word in enumerate(ORDINALS[language].split())}
    names |= {f"h-{10 * (k + 2)}": word for k, word in enumerate(ORDINAL_TENS[language].split())}
    names |= {f"day-{k}": word for k, word in enumerate(DAYS[language].split())}
    names |= {f"mon-{k}": word for k, word in enumerate(NUMBERS[language].months)}
    if language == "it":  # a ten loses its vowel before "uno" and "otto": trentuno, trentotto
        for k, ten in enumerate(TENS["it"].split()):
            names |= {f"{k + 2}1": f"{ten[:-1]}uno", f"{k + 2}8": f"{ten[:-1]}otto"}
    return names | _pairs(OTHERS[language])


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())
