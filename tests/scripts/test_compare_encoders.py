"""The comparison of encoders on vectors and answers made up here."""

import numpy as np
from compare_encoders import FORMS, NUMERALS, encoded, nearest, said, shares, texts_of
from helpers.voices import VECTORS, make_voice

from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.evaluation.trainings import Settings
from tts.generation.native import comb


class Known:
    def encode(self, texts):
        if texts == [["六"]]:
            raise InputError("the tokenizer of the text encoder x cannot read the word '六'")
        return [np.ones((1, 4), np.float32)]


def test_every_form_has_ten_words_and_each_of_them_once():
    for form, words in FORMS.items():
        assert len(words) == 10, form
        assert len(set(words)) == 10, form


def test_words_that_are_not_there_or_cannot_be_read_have_no_vector():
    assert 6 not in encoded(Known(), FORMS["Chinese"])
    assert 0 not in encoded(Known(), FORMS["Roman numerals"])
    assert len(encoded(Known(), FORMS[NUMERALS])) == 10


def test_nearest_counts_words_nearest_to_their_own_numeral():
    numerals = dict(enumerate(np.eye(10, dtype=np.float32)))
    found = nearest({4: numerals[4] * 3, 7: numerals[1]}, numerals)
    assert found["nearest"] == 1
    assert found["own"] == 0.5


def test_what_cannot_be_read_counts_as_not_said_right():
    said = [{"digits": [d], "recognized": [4]} for d in (4, 7) for _ in range(3)]
    pairs = [{"digits": [4, 4], "recognized": [4, 4]}, {"digits": [4, 7], "recognized": [4]}]
    found = shares({"said": said + pairs, "unreadable": ["x"], "missing": [0]})
    assert found == {"single": (3, 9), "pair": (1, 2), "words": (1, 9)}


def test_the_texts_depend_on_the_seed_alone():
    assert texts_of(2, 3) == texts_of(2, 3)
    assert texts_of(2, 3) != texts_of(2, 4)


class Recorder:
    def recognize(self, waves, sample_rate):
        self.waves = waves
        return [[4]] * len(waves)


def test_waves_have_the_comb_filter_of_the_voice(monkeypatch):
    monkeypatch.setattr(comb, "filter_blocks", lambda numbers, wave, count: np.zeros(count * numbers.hop, np.float32))
    for strength in (0, 1):
        recorder, voice = Recorder(), make_voice(sampling=Sampling(comb_filter=strength))
        found = said(voice, {4: VECTORS["four"]}, recorder, Settings(0, 0, 0.0))
        assert found[0] == {"digits": [4], "speaker": "ann", "recognized": [4]}
        assert all(wave.any() == (not strength) for wave in recorder.waves)
