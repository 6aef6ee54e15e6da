"""Numbers as people write them, and pauses, to words."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from num2words import num2words

from tts.cli.speak import READ_MODES
from tts.core.errors import InputError
from tts.text.languages import LANGUAGES
from tts.text.normalize import words
from tts.text.number_words import LARGEST
from tts.text.pauses import MAX_SECONDS, SHORT_SECONDS, Reading
from tts.text.reading import ReadMode, fit, read

CASES = [line.split("\t") for line in (Path(__file__).parent / "reading_cases.tsv").read_text("utf-8").splitlines()[1:]]
MODES = st.sampled_from(ReadMode.__args__)
LANGUAGE = st.sampled_from(sorted(LANGUAGES))
NUMBERS = st.text("0123456789٣７%.,'-+:/ \u00a0()€$£₽hamp[]sºª.oé\u2212", max_size=24)


@pytest.mark.parametrize(("text", "how", "language", "said"), CASES, ids=lambda value: str(value))
def test_how_people_write_numbers(text, how, language, said):
    assert " ".join(read(text, how, language).words) == said


def test_there_are_enough_cases():
    assert len({tuple(case[:3]) for case in CASES}) >= 200
    assert {case[2] for case in CASES} == set(LANGUAGES)
    assert {case[1] for case in CASES} == set(ReadMode.__args__)


def test_the_command_line_has_the_modes():
    assert ReadMode.__args__ == READ_MODES


@settings(deadline=None)
@given(st.text(max_size=30) | NUMBERS, MODES, LANGUAGE)
@example("9" * 5000, "cardinal", "ru")
@example("9" * 5000 + ",5", "cardinal", "ru")
@example("9" * 5000, "phone", "en")
@example("$" + "9" * 5000, "money", "en")
@example("9" * 5000 + "th", "ordinal", "en")
@example("9" * 5000 + "%", "cardinal", "en")
@example("0000-00-00", "auto", "en")
@example("--5", "auto", "en")
@example("[" * 200, "digits", "en")
def test_every_text_is_read_or_refused_in_one_line(text, how, language):
    try:
        found = read(text, how, language)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found.words
        assert len(found.pauses) == len(found.words) + 1
        assert all(word and word == word.lower() and not set(word) & set(" -,") for word in found.words)


@settings(deadline=None)
@given(st.integers(-LARGEST, LARGEST), LANGUAGE)
def test_cardinals_are_those_of_num2words(n, language):
    expected = num2words(n, lang=language).lower().replace("-", " ").replace(",", " ").split()
    said = read(str(n), "cardinal", language).words
    # num2words lacks an accent in "ventitré", and says "veintiuno mil" and "einhunderteinstausend" where Spanish has
    # "veintiún mil" and German "einhunderteintausend".
    same = {"uno": "un", "veintiuno": "veintiún"} if language == "es" else {}

    def plain(word: str) -> str:
        return re.sub("ein[es]($|tausend)", r"ein\1", same.get(word, word).replace("é", "e"))

    assert [plain(word) for word in said] == [plain(word) for word in expected]


@settings(deadline=None)
@given(st.integers(0, LARGEST))
def test_grouped_numbers_are_read_like_plain_ones(n):
    plain = read(str(n), "cardinal", "en")
    assert read(f"{n:,}", "cardinal", "en") == plain
    assert read(f"{n:,}".replace(",", "."), "cardinal", "de") == read(str(n), "cardinal", "de")


@settings(deadline=None)
@given(st.text("0123456789 -;!?\n", max_size=20))
def test_digits_are_what_they_were(text):
    try:
        expected = words(text)
    except InputError as error:
        with pytest.raises(InputError) as caught:
            read(text, "digits")
        assert str(caught.value) == str(error)
    else:
        assert read(text, "digits", "language without rules") == Reading(expected, [0.0] * (len(expected) + 1))


@pytest.mark.parametrize(
    ("text", "how", "language", "part"),
    [
        ("42", "roman", "en", "it must be one of digits, cardinal"),
        ("42", "cardinal", "nl", "no rules for numbers in the language 'nl'; there are for en, es"),
        (42, "cardinal", "en", "give a string"),
        ("", "auto", "en", "no words to say"),
        ("1" * 100_001, "auto", "en", "at most 100000"),
        ("1 " * 1001, "cardinal", "en", "at most 1000"),
        ("сорок два", "auto", "en", "another script than English"),
        ("forty", "cardinal", "ru", "another script than Russian"),
        ("四", "cardinal", "en", "another script than English"),
        ("1,00", "cardinal", "en", "'1,00' cannot be read as cardinal in English"),
        ("3.14", "cardinal", "de", "3,14"),
        ("4/7", "auto", "en", "'4/7' cannot be read in English"),
        ("4-7", "cardinal", "en", "'4-7'"),
        ("½", "auto", "en", "'½'"),
        ("4²", "auto", "en", "'4²'"),
        ("12%", "money", "en", "'12%' cannot be read as money"),
        ("12‰", "auto", "en", "'12‰'"),
        ("5-10 %", "auto", "en", "'5-10'"),
        ("#", "auto", "en", "'#' is neither a word nor a number"),
        ("1000000000000", "cardinal", "en", "up to 999,999,999,999"),
        ("1" * 101, "auto", "en", "too large"),
        ("0." + "1" * 21, "cardinal", "en", "at most 20"),
        ("0,1234567", "cardinal", "ru", "at most 6"),
        ("0th", "ordinal", "en", "from 1 to"),
        ("21th", "ordinal", "en", "did you mean 21st?"),
        ("1001", "ordinal", "es", "1,000"),
        ("25:00", "time", "en", "hours go from 0 to 23"),
        ("7:60", "auto", "en", "minutes from 00 to 59"),
        ("13 pm", "auto", "en", "1 to 12 with am or pm"),
        ("$1.5", "money", "en", "no amount of money"),
        ("$007", "money", "en", "no amount of money"),
        ("3/4/2024", "auto", "en", "day or the month first"),
        ("2024-13-01", "auto", "en", "no date"),
        ("2024-02-30", "auto", "de", "no date"),
        ("2023-02-29", "auto", "en", "no date"),
        ("24:01", "time", "en", "hours go from 0 to 23"),
        ("n.º 5", "auto", "es", "'º' is neither a word nor a number"),
        ("555 0177", "phone-double", "fr", "is English"),
        ("4\x07", "auto", "en", "control character U+0007"),
        ("4\ud800", "auto", "en", "not valid Unicode"),
        ("4 [0.5] 7", "digits", "en", "write one as [0.5s]"),
        ("4 [-1s] 7", "auto", "en", "write one as [0.5s]"),
        ("4 [0.5s", "auto", "en", "no pause"),
        ("4 ] 7", "auto", "en", "no pause"),
        ("4 [10.5s] 7", "digits", "en", "may last 10 s"),
        ("4 [999999999ms] 7", "digits", "en", "may last 10 s"),
        ("4 [6s][6s] 7", "digits", "en", "12 s at one place"),
        ("4 [10s]" * 13, "digits", "en", "at most 120 s"),
        ("[1s]", "digits", "en", "no words to say"),
    ],
)
def test_what_is_refused(text, how, language, part):
    with pytest.raises(InputError) as caught:
        read(text, how, language)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_num2words(monkeypatch):
    monkeypatch.setitem(sys.modules, "num2words", None)
    assert read("4, 7", "digits").words == ["4", "7"]
    assert read("four seven", "auto").words == ["four", "seven"]
    with pytest.raises(InputError, match=r"needs num2words.*twotier-tts\[read\]"):
        read("42", "auto")


@pytest.mark.parametrize("how", ["digits", "cardinal", "auto"])
@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("4 7", [0, 0, 0]),
        ("4, 7", [0, SHORT_SECONDS, 0]),
        ("4,\n7", [0, SHORT_SECONDS, 0]),
        ("4、7", [0, SHORT_SECONDS, 0]),
        ("4， 7", [0, SHORT_SECONDS, 0]),
        ("4, , 7", [0, SHORT_SECONDS, 0]),
        (" , 4 7, ", [0, 0, 0]),
        ("4[0.5s]7", [0, 0.5, 0]),
        ("4 [300 ms] 7", [0, 0.3, 0]),
        ("4, [.5S] 7", [0, 0.5, 0]),
        ("4 [0.5s], 7", [0, 0.5, 0]),
        ("4 [0.5s][1s] 7", [0, 1.5, 0]),
        ("[1s] 4 7 [2s]", [1, 0, 2]),
        ("4 [0s] 7", [0, 0, 0]),
        (f"4 [{MAX_SECONDS:g}s] 7", [0, MAX_SECONDS, 0]),
    ],
)
def test_pauses(text, how, pauses):
    assert read(text, how).pauses == pytest.approx(pauses)


def test_pauses_of_a_telephone_number():
    assert read("+1 555 0100", "phone").pauses == [0, 0, SHORT_SECONDS, 0, 0, SHORT_SECONDS, 0, 0, 0, 0]
    assert read("5550100 [1s]", "phone").pauses == [0, 0, 0, SHORT_SECONDS, 0, 0, 0, 1]
    assert read("call 555-0100 now", "auto").pauses[4] == SHORT_SECONDS


def test_a_reading_in_the_words_of_a_voice():
    english = read("316 [1s]", "cardinal", "en")
    assert fit(english, {"three", "hundred", "sixteen"}, "en") == Reading(["three", "hundred", "sixteen"], [0, 0, 0, 1])
    assert fit(english, {"and"}, "en") == english
    german = read("[1s] 21 [2s] 4", "cardinal", "de")
    parts = Reading(["ein", "und", "zwanzig", "vier"], [1, 0, 0, 2, 0])
    assert fit(german, {"ein", "und", "zwanzig", "vier", "undzwan"}, "de") == parts
    assert fit(german, {"einundzwanzig", "ein", "vier"}, "de") == german
    assert fit(german, {"und", "zwanzig"}, "de") == german  # for the voice to refuse


@pytest.mark.parametrize(
    ("vocabulary", "said"),
    [
        ({"veintiún", "veintiuno", "mil", "un", "uno", "euro"}, "veintiún mil un euro"),
        ({"veintiuno", "mil", "uno", "euro"}, "veintiuno mil uno euro"),
    ],
)
def test_a_form_that_a_voice_lacks_is_said_in_the_one_that_it_has(vocabulary, said):
    reading = Reading(["veintiún", "mil", "un", "euro"], [0.0] * 5)
    assert " ".join(fit(reading, vocabulary, "es").words) == said
