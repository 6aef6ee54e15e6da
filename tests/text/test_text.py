# ruff: noqa: RUF001 - digits that look like other digits are what is tested
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.core.errors import InputError
from tts.text.normalize import MAX_WORDS, SPOKEN, any_words, digits, words

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


SEPARATED = [
    "472",
    "4 7 2",
    "4-7-2",
    "4, 7, 2",
    "4. 7. 2.",
    "4 ,7 ,2",
    "4;7;2!",
    "4; 7; 2!",
    "4...7...2",
    "4--7---2",
    "- 4 - 7 - 2 -",
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
        ("4\u22127", "cannot say '4\u22127'"),
        ("4\u066b 7", "cannot say '4\u066b'"),
        ("1'000", 'cannot say "1\'000"'),
        ("1\u2019000", "cannot say '1\u2019000'"),
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


# A text, and the piece of it that is refused, as it is shown.
NUMBERS = [
    ("0.5", "0.5"),
    ("3.14", "3.14"),
    ("1,000", "1,000"),
    ("1,000,000.00", "1,000,000.00"),
    ("192.168.0.1", "192.168.0.1"),
    ("4.7.2", "4.7.2"),
    ("4,7", "4,7"),
    ("4..7", "4..7"),
    ("472, 3.14.", "3.14."),
    (" 4\n7.2 9", "7.2"),
    ("3.\u200b14", "3.14"),
    ("\u202d3\u202c.14", "3.14"),
    ("３．１４", "3.14"),
    ("１，０００", "1,000"),
    ("3\ufe5214", "3.14"),
    ("3\u202414", "3.14"),
    ("٣٫١٤", "3\u066b14"),
    ("١٬٠٠٠", "1\u066c000"),
    ("۴،۷", "4,7"),
    (".5", ".5"),
    ("4 .5", ".5"),
]
NEGATIVE = [
    ("-4", "-4"),
    ("\u22124", "\u22124"),
    ("\u207b4", "\u22124"),
    ("－４", "-4"),
    ("–4", "-4"),
    ("\ufeff-4", "-4"),
    ("-47 2", "-47"),
    ("4 -7", "-7"),
    ("4\t-7-2", "-7-2"),
    ("4, -7", "-7"),
    ("4,-7", "4,-7"),
    ("--7", "--7"),
    ("-four", "-four"),
]


@pytest.mark.parametrize(
    ("text", "piece", "fault"),
    [(*case, "holds a decimal point or separator") for case in NUMBERS]
    + [(*case, "holds a minus before a digit") for case in NEGATIVE],
)
def test_numbers_whose_punctuation_would_be_lost(text, piece, fault):
    """The message shows the piece and a text that is said; that one has the piece's digits."""
    with pytest.raises(InputError) as caught:
        words(text)
    message = str(caught.value)
    assert message.startswith(f"the text {piece!r} {fault}, which the voice has no word for; write the digits ")
    assert len(message.splitlines()) == 1
    instead = re.search(r"'([^']*)'$", message)[1]
    assert "".join(words(instead)) == "".join(re.findall("[0-9]|four", piece))


@pytest.mark.parametrize("text", [472, None, b"472", 4.7, ["4"], np.array([[4, 7], [1, 2]])], ids=str)
def test_what_is_no_string(text):
    with pytest.raises(InputError, match=r"^the text is .*; give a string, e.g. \"4 7 2\"$"):
        words(text)


@pytest.mark.parametrize("text", ["x" * 1_000_000, "1." * 500_000, "-4" * 500_000, "-" * 1_000_000 + "x"])
def test_messages_stay_short(text):
    with pytest.raises(InputError) as caught:
        words(text)
    assert len(str(caught.value)) < 200


def test_up_to_the_longest_text():
    assert len(words("4" * MAX_WORDS)) == MAX_WORDS
    with pytest.raises(InputError, match="at most 1000"):
        words("4 " * (MAX_WORDS + 1))


def test_digits_of_an_unsayable_word():
    with pytest.raises(InputError, match="cannot say 'ten'"):
        digits(["4", "ten"])


@pytest.mark.slow
def test_only_decimal_digits_become_numerals():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        try:
            found = words(character)
        except InputError:
            assert unicodedata.category(character) != "Nd", f"U+{code:04X} is refused"
        else:
            assert found == [str(unicodedata.decimal(character))], f"U+{code:04X} is read as {found}"


SAYABLE = st.sampled_from([*"0123456789", *NAMES, " ", ", ", ". ", "-", " - ", "４", "٧", "Two", "\n", "\u00ad"])
ANY = (
    st.text(st.characters())  # surrogates, too
    | st.text()
    | st.lists(SAYABLE, max_size=30).map("".join)
    | st.text(alphabet="0129 -,.\u066b\u2212xt\u00b2\x00\u0664ou")
)


def spoken_in(text):
    """The digits that a text holds, in order; found without looking at what stands between them."""
    letters = (c for c in text if unicodedata.category(c) != "Cf")
    plain = unicodedata.normalize("NFKC", "".join(str(unicodedata.decimal(c, c)) for c in letters)).lower()
    return [SPOKEN[word] for word in re.findall("|".join(["[0-9]", *NAMES]), plain)]


@given(ANY)
def test_any_text_gives_its_digits_or_an_input_error(text):
    try:
        found = words(text)
    except InputError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert 1 <= len(found) <= MAX_WORDS
    assert set(found) <= set(SPOKEN)
    assert words(" ".join(found)) == found
    assert digits(found) == spoken_in(text)


@given(
    st.text("0123456789", min_size=1), st.sampled_from([*".,\u066b\u066c．，﹐﹒"]), st.text("0123456789", min_size=1)
)
def test_no_mark_between_digits_is_dropped(before, mark, after):
    with pytest.raises(InputError, match="decimal point or separator"):
        words(before + mark + after)


@given(
    st.sampled_from(["", " ", "4 ", "4, ", "four ", "\n"]), st.sampled_from([*"-\u2212–－"]), st.sampled_from("0479")
)
def test_no_minus_is_dropped(before, minus, digit):
    with pytest.raises(InputError, match="minus"):
        words(before + minus + digit)


def test_torch_is_not_imported():
    check = "import sys, tts.text; sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("472", ["4", "7", "2"]),
        ("four-7", ["four", "7"]),
        ("Three hundred!", ["three", "hundred"]),
        ("o\u2019clock 7", ["o'clock", "7"]),
        ("сорок два", ["сорок", "два"]),
    ],
)
def test_words_of_no_vocabulary(text, found):
    assert any_words(text) == found


@pytest.mark.parametrize("text", ["", " - ", "3.14 rain", "x" * 41, "rain\0"])
def test_what_is_no_word_in_any_vocabulary(text):
    with pytest.raises(InputError):
        any_words(text)
