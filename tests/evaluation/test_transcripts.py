"""What Whisper writes, as words: every line is a transcript of joined recordings, or made to be read in one way."""

import pytest

from tts.evaluation.judges.judge import error_score
from tts.evaluation.judges.transcripts import nearest, pieces


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("three hundred forty two thousand sixteen", "342,016"),
        ("three hundred forty two thousand sixteen", "Three hundred and forty-two thousand and sixteen."),
        ("three hundred and forty two", "342"),
        ("seven hundred twenty four thousand one hundred nineteen", "7, 100, 20, 4000, 100, 19."),
        ("seven hundred eighty", "7,100,80"),
        ("sixty million forty seven thousand six", "$60 million, $47,000, $6."),
        ("forty seven dollars", "$47"),
        ("one billion two", "1 billion, 2"),
        ("seven oh five", "705"),
        ("seven oh five", "7:05"),
        ("zero oh five", "0:05"),
        ("nineteen thirty", "1930."),
        ("nineteen thirty", "19:30"),
        ("nineteen hundred", "19:00"),
        ("seven o'clock", "7 o\u2019clock."),
        ("seven o'clock", "7:00"),
        ("five seven seven", "577"),
        ("four twenty one", "421"),
        ("three dot one four", "3.14"),
        ("minus five", "-5"),
        ("twenty first", "21st"),
        ("one hundred first", "101st"),
        ("five a m", "5 AM"),
        ("five a m", "5 a.m."),
        ("b c q", "B-C-Q"),
        ("b c q", "BCQ"),
        ("b four u two", "Be for you to"),
        ("x xray", "X, X-ray"),
        ("october twelve zed", "October 12, Z."),
        ("april monday today", "April, Monday... today!"),
        ("fifty two", "52. 52."),
        ("seven seven seven", "7 7 7"),
        ("star pound plus at slash", "* # + @ /"),
        ("eleven", "11" ),
        ("eight hundred nine", "\u2014 809 \u2014"),
    ],
)  # fmt: skip
def test_a_transcript_that_may_stand_for_what_was_said_is_right(said, written):
    assert nearest(said.split(), written) == said.split()


@pytest.mark.parametrize(
    ("said", "written", "errors"),
    [
        ("three hundred forty two", "343", 1),
        ("three hundred forty two", "340", 1),
        ("fourteenth third", "14, 3rd", 1),
        ("mike ten", "Mike Tan", 1),
        ("seven oh five", "75", 1),
        ("seven oh five", "7:06", 1),
        ("nineteen", "90", 1),
        ("seven", "", 1),
        ("seven", "7, 7, 8", 2),
        ("one", "1" * 60, 59),
        ("one two", ",".join(["100"] * 12) + ",200", 24),
    ],
)
def test_what_no_reading_has_is_an_error(said, written, errors):
    assert error_score(said.split(), nearest(said.split(), written)).total == errors


def test_the_readings_of_a_piece():
    (found,) = pieces("1,100")
    assert {
        ("one", "thousand", "one", "hundred"),
        ("eleven", "hundred"),
        ("one", "hundred"),
        ("one", "one", "oh", "oh"),
    } <= set(found)
    assert list(pieces(" ... [ ] \u266a ")) == []
    # Larger than numbers are read, or no ordinal: as it is written, so an error.
    assert all(len(readings) >= 1 for readings in pieces(f"{10**30} 0th {10**30}st 25:99"))
