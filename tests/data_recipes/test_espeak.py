"""Synthetic recordings; skipped without the wheel of eSpeak NG, but for bad input."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from data_recipes.corpora import load_corpus as load_any
from data_recipes.corpus import CorpusOptions
from data_recipes.espeak import ACCENTS, drawn, load_corpus, say, split_of_take, voice_names
from tts.core.errors import InputError

VOICE = "en-us+m3@45"


@pytest.fixture
def espeak() -> None:
    pytest.importorskip(
        "espeakng_loader", reason="needs the optional wheel espeakng-loader (GPL), which carries eSpeak NG"
    )


def recordings(corpus) -> dict[str, bytes]:
    return {row.id: row.audio.tobytes() for rows in corpus.splits.values() for row in rows}


def test_voices_are_a_list_without_repeats() -> None:
    assert voice_names(40)[:12] == voice_names(12) and len(set(voice_names(500))) == 500
    assert all(len(voice_names(10, language)) == 10 for language in ACCENTS)


def test_the_recordings_do_not_depend_on_what_was_said_before_or_on_processes(espeak: None) -> None:
    options = {"words": ["4", "7"], "voices": 2, "takes": 4}
    one, two = load_corpus(**options), load_corpus(**options, num_proc=2)
    assert recordings(one) == recordings(two)
    alone = load_corpus(words=["7"], speakers=voice_names(2)[1:], takes=4)
    assert recordings(alone).items() <= recordings(one).items()
    assert [len(rows) for rows in one.splits.values()] == [4, 4, 8] and split_of_take(5) == "train"


def test_a_word_is_cut_at_its_phonemes(espeak: None) -> None:
    for word in ("6", "four", "eight"):
        wave, rate = say(drawn(word, VOICE, 3))
        assert rate == 22050 and 0.15 < len(wave) / rate < 1 and np.abs(wave).max() <= 1
        loud = np.flatnonzero(np.abs(wave) > 1e-3)
        assert loud[0] < 0.02 * rate and loud[-1] > len(wave) - 0.06 * rate


def test_takes_differ_and_words_are_any(espeak: None) -> None:
    corpus = load_corpus(words=["kiwi", "rain"], speakers=[VOICE], takes=5)
    rows = corpus.splits["train"]
    assert [row.id for row in rows] == [f"{word}_{VOICE}_{take}" for word in ("kiwi", "rain") for take in (3, 4)]
    assert all(not np.array_equal(a.audio, b.audio) for a, b in pairwise(rows))
    assert corpus.vocabulary == ("kiwi", "rain") and corpus.options.trim is False


def test_other_languages(espeak: None) -> None:
    options = CorpusOptions(words=("четыре",), languages=("ru",), voices=1, takes=4)
    assert load_any("espeak", options=options).splits["test"][0].speaker.startswith("ru+")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speakers": ["en-us+zz@45"]}, "no voice of eSpeak's"),
        ({"speakers": ["xx+m3@45"], "takes": 4, "words": ["4"]}, "refuses the voice xx"),
        ({"speakers": ["en-us+m3@101"]}, "no voice of eSpeak's"),
        ({"language": "xx"}, "'xx' has no voices"),
        ({"voices": 0}, "voices is 0"),
        ({"takes": 3}, "takes is 3"),
        ({"words": ["a b"]}, "holds 'a b'"),
        ({"words": []}, "no word"),
        ({"words": ["сорок"]}, "'сорок' is in another script than English"),
        ({"words": ["forty"], "language": "ru"}, "'forty' is in another script than Russian"),
        ({"words": ["…"], "voices": 1, "takes": 4}, "holds"),
    ],
)
def test_refusals(espeak: None, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_corpus(**arguments)
    assert "\n" not in str(caught.value)


def test_a_missing_wheel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=r"eSpeak NG is not installed.*GPL.*espeak"):
        load_corpus()


def test_options_that_a_corpus_does_not_have() -> None:
    with pytest.raises(InputError, match="corpus fsdd has no option words, which is one of speech_commands"):
        load_any("fsdd", options=CorpusOptions(words=("1",)))
    with pytest.raises(InputError, match="corpus 'x' is unknown"):
        load_any("x")
    from pathlib import Path

    with pytest.raises(InputError, match="espeak is made, so it has no source; 1 were given"):
        load_any("espeak", Path("."))


@pytest.mark.slow
def test_the_recognizer_understands_it(espeak: None) -> None:
    from tts.recognition.model import Recognizer

    rows = load_corpus(speakers=[VOICE], takes=5).splits["train"]
    answers = Recognizer.load().recognize([np.pad(row.audio, 800) for row in rows], 8000)
    assert sum(answer == [row.digit] for answer, row in zip(answers, rows, strict=True)) >= 8
