"""The voice that ships: it says its text, stops, and is the same in every engine."""

import hashlib

import numpy as np
import pytest
import torch
from torchaudio.functional import edit_distance

import tts
from tts.evaluation.callbacks import held_out_texts
from tts.generation.interface import SynthesisRequest, Uniforms
from tts.generation.native import library
from tts.generation.rounded import RoundedTwoTier
from tts.generation.torch_engine import draw_codes
from tts.recognition.model import Recognizer
from tts.text.units import nuclei, unit_vectors


@pytest.fixture(scope="module")
def voice():
    return tts.load_voice()


GOLDEN = {
    ("digits", "4 7 2"): "5a4da31593033827f71da370a50a15a8647ba37bce19feede8a0f22594ff2434",
    ("numbers", "three hundred forty two"): "daa77e1a2d4d643bbefa289aeb9ed612a6258108285f2883f762099809c99838",
}
"""sha256 of what a voice says for a text, seed 3, as 16-bit codes and float32 samples, on every instruction set. A
change of it changes every user's audio: say so in the change log."""


@pytest.mark.parametrize("isa", library.usable())
@pytest.mark.parametrize("name, text", GOLDEN)
def test_golden_audio_on_each_instruction_set(name, text, isa, monkeypatch):
    monkeypatch.setenv(library.ISA_VARIABLE, isa)
    audio = tts.load_voice(name).speak(text, seed=3)
    found = audio.codes.astype("<i2").tobytes() + audio.samples.astype("<f4").tobytes()
    assert hashlib.sha256(found).hexdigest() == GOLDEN[name, text]


def test_numbers_says_its_words_and_stops():
    """Each fourth word alone, and cardinals that no training had: all end by themselves, at a plausible length."""
    voice = tts.load_voice("numbers")
    texts = [*voice.vocabulary[::4], "three hundred forty two thousand sixteen", "nine million eleven"]
    for text, audio in zip(texts, voice.speak_each(texts), strict=True):
        assert audio.stop_reason == "stop", text
        assert 0.15 < audio.seconds / len(text.split()) < 1.6, text


def test_says_unseen_texts(voice):
    """28 texts a speaker, 588 digits: at most 9 are read wrong, none runs into the cap.

    3 were where it was measured. Of 1,200 other texts 0.72 % of the digits were (configs/fsdd.yaml), 4 digits of so
    many: a voice as good passes with 99 %, one that has four times as many errors with 3 %.
    """
    texts = held_out_texts(168, ("unseen",))
    speakers = [voice.speakers[i // 4 % len(voice.speakers)] for i in range(len(texts))]
    spoken = list(voice.speak_each([" ".join(map(str, text)) for text in texts], speakers))
    recognized = Recognizer.load().recognize([audio.samples for audio in spoken], voice.sample_rate)
    assert sum(map(len, texts)) == 588
    assert sum(edit_distance(list(map(int, text)), digits) for text, digits in zip(texts, recognized, strict=True)) <= 9
    assert all(audio.stop_reason == "stop" for audio in spoken)


def test_says_every_digit_alone(voice):
    """Each speaker, each digit, twice: each is read right at least once, and at most 3 of the 120 are not."""
    texts = [(speaker, digit, seed) for speaker in voice.speakers for digit in range(10) for seed in range(2)]
    spoken = voice.speak_batch([str(d) for _, d, _ in texts], [s for s, _, _ in texts], [seed for *_, seed in texts])
    recognized = Recognizer.load().recognize([audio.samples for audio in spoken], voice.sample_rate)
    wrong = [text for text, digits in zip(texts, recognized, strict=True) if digits != [text[1]]]
    assert len(wrong) <= 3, wrong  # 1 where it was measured
    assert len({(speaker, digit) for speaker, digit, _ in wrong}) == len(wrong), wrong


def test_engines_agree(voice):
    """The native and the torch engine, 0.125 s of each speaker: at most one tie in 6,000 samples."""
    texts = ["4 7"] * len(voice.speakers)
    native, plain = (
        voice.speak_batch(texts, voice.speakers, max_seconds=0.125, engine=engine) for engine in ("native", "torch")
    )
    same = [np.array_equal(a.codes, b.codes) for a, b in zip(native, plain, strict=True)]
    assert sum(same) >= len(same) - 1  # after a tie all that follows is another utterance
    assert {len(one.codes) for one in (*native, *plain)} == {31 * 32}


def test_fed_back_it_gives_what_it_drew(voice):
    """Teacher forcing: the codes of the compiled engine are the inverse CDF of the model's logits given them."""
    speaker = voice.speakers.index(voice.config.default_speaker)
    model = voice.config.model
    units = unit_vectors(voice.word_vectors(["4", "7"]), model.units_per_word)
    request = SynthesisRequest(
        units, speaker, 3, 1000, 300, voice.config.sampling, nuclei=nuclei([1, 1], model.units_per_word)
    )
    [made] = voice.engine("native").generate([request])
    np.testing.assert_array_equal(made.codes, voice.speak("4 7", seed=3).codes)
    model = RoundedTwoTier(voice.model())  # as the engines compute it
    frame = voice.config.model.frame_size
    frames = len(made.codes) // frame
    ends = np.array(made.unit_ends) // frame
    pointer = np.minimum(np.searchsorted(ends, np.arange(frames), side="right"), len(ends) - 1)
    with torch.inference_mode():
        output = model(
            torch.from_numpy(made.codes.astype(np.int64))[None],
            torch.from_numpy(units)[None],
            torch.tensor([len(units)]),
            torch.from_numpy(pointer)[None],
            torch.tensor([speaker]),
        )
    logits = output.logits[0].reshape(len(made.codes), -1)
    uniforms = torch.from_numpy(Uniforms(3, frame).rows(frames)[:, :frame].reshape(-1))
    temperatures = torch.from_numpy(request.temperatures()[np.repeat(pointer, frame)])
    drawn = draw_codes(logits, uniforms, temperatures).numpy()
    ties = int((drawn != made.codes).sum())
    assert ties <= 2, f"{ties} of {len(drawn)} codes differ: rounding decides once in many thousands at most"
    # The advance bit: the summed hazard passes the drawn threshold where each segment ended.
    hazard = torch.nn.functional.softplus(output.advance_logits[0]).numpy()
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        assert hazard[start:end].sum() > 0.2


def test_silence_and_loudness(voice):
    audio = voice.speak("1 2 3 4 5", seed=1)
    assert abs(audio.samples.mean()) < 1e-3
    assert 0.1 < np.abs(audio.samples).max() < 1
