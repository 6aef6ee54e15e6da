# ruff: noqa: RUF001 - digits that look like other digits are what is tested
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import InputError
from tts.text import MAX_WORDS, SPOKEN, digits, words

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


SEPARATED = [
    "472",
    "4 7 2",
    "4-7-2",
    "4, 7, 2",
    "4,7,2",
    "4.7.2",
    "4; 7; 2!",
    " 4\t7\n2\r\n",
    "47 2",
    "4–7—2",
    "4 - 7 - 2",
]
OTHER_SCRIPTS = ["４７２", "４、７、２。", "٤٧٢", "۴، ۷، ۲", "४७२", "𝟒𝟕𝟐", "\ufeff472", "4\u200f7\u00a02", "4…7…2"]


@pytest.mark.parametrize("text", SEPARATED + OTHER_SCRIPTS)
def test_every_way_to_write_numerals(text):
    assert words(text) == ["4", "7", "2"]


@pytest.mark.parametrize("text", ["four seven two", "Four, SEVEN; two.", "four-seven-two", "ｆｏｕｒ se\u00adven two"])
def test_number_words_stay_words(text):
    assert words(text) == ["four", "seven", "two"]


def test_numerals_and_number_words_mix():
    assert words("4 seven 22") == ["4", "seven", "2", "2"]


def test_spoken_holds_both_forms_of_each_digit():
    assert digits("0123456789") == digits(NAMES) == list(range(10))
    assert len(SPOKEN) == 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no words"),
        (" \n\t", "no words"),
        ("-", "no words"),
        ("\ufeff", "no words"),
        ("4\x007", "control character U+0000"),
        ("4\x1b[7", "control character U+001B"),
        ("4\udc807", "UTF-8"),
        ("ten", "cannot say 'ten'"),
        ("oh", "cannot say 'oh'"),
        ("4 fore", 'did you mean "four"?'),
        ("sevn", 'did you mean "seven"?'),
        ("4x", "cannot say '4x'"),
        ("4seven", "did you mean '4 seven'?"),
        ("fourseven", "did you mean 'four seven'?"),
        # Each of these has digits, but would be read as something else than those digits.
        ("4/7", "cannot say '4/7'"),
        ("4:07", "cannot say '4:07'"),
        ("4²", "cannot say '4²'"),
        ("½", "cannot say '½'"),
        ("Ⅳ", "cannot say 'Ⅳ'"),
        ("④", "cannot say '④'"),
        ("四", "cannot say '四'"),
        ("4%", "cannot say '4%'"),
        ("4_7", "cannot say '4_7'"),
        ("\u22124", "cannot say '\u22124'"),
        ("4" * 10_000, "10000 words; at most 1000"),
    ],
)
def test_what_cannot_be_said_is_refused_in_one_line(text, said):
    with pytest.raises(InputError) as caught:
        words(text)
    message = str(caught.value)
    assert said in message
    assert len(message.splitlines()) == 1
    assert message.isprintable()


def test_messages_stay_short():
    with pytest.raises(InputError) as caught:
        words("x" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_up_to_the_longest_text():
    assert len(words("4" * MAX_WORDS)) == MAX_WORDS
    with pytest.raises(InputError, match="at most 1000"):
        words("4 " * (MAX_WORDS + 1))


def test_digits_of_an_unsayable_word():
    with pytest.raises(InputError, match="cannot say 'ten'"):
        digits(["4", "ten"])


def test_only_decimal_digits_become_numerals():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        try:
            found = words(character)
        except InputError:
            assert unicodedata.category(character) != "Nd", f"U+{code:04X} is refused"
        else:
            assert found == [str(unicodedata.decimal(character))], f"U+{code:04X} is read as {found}"


SAYABLE = st.sampled_from([*"0123456789", *NAMES, " ", ", ", "-", "４", "٧", "Two", "\n"])


@given(st.text() | st.lists(SAYABLE, max_size=30).map("".join) | st.text(alphabet="0129 -,.xt\u00b2\x00\u0664ou"))
def test_any_text_gives_words_or_an_input_error(text):
    try:
        found = words(text)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert 1 <= len(found) <= MAX_WORDS
    assert set(found) <= set(SPOKEN)
    assert words(" ".join(found)) == found


def test_torch_is_not_imported():
    check = "import sys, tts.text; sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
