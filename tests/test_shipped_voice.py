"""The voice that ships: it says what it is told, stops, and is the same in every engine."""

import numpy as np
import pytest
import torch
from torchaudio.functional import edit_distance

import tts
from tts.evaluation.recognizer import Recognizer
from tts.generation.request import Request, Uniforms
from tts.generation.torch_engine import draw_codes
from tts.parts import part_vectors


@pytest.fixture(scope="module")
def voice():
    return tts.load_voice()


def test_says_drawn_texts(voice):
    """100 texts of one to five digits: at least 80 % of the digits are read right, at most one runs into the cap."""
    rng = np.random.default_rng(2026)
    texts = [rng.integers(0, 10, 1 + i % 5).tolist() for i in range(100)]
    speakers = [voice.speakers[i // 5 % len(voice.speakers)] for i in range(100)]
    spoken = voice.speak_batch([" ".join(map(str, text)) for text in texts], speakers, seeds=range(100))
    heard = Recognizer.load().recognize([audio.samples for audio in spoken], voice.sample_rate)
    errors = sum(edit_distance(text, digits) for text, digits in zip(texts, heard, strict=True))
    assert errors / sum(map(len, texts)) <= 0.1  # 0.03 to 0.05 where it was measured; 0.2 would be too bad to ship
    assert sum(audio.stop_reason == "cap" for audio in spoken) <= 1


def test_says_every_digit_alone(voice):
    """Each speaker, each digit, five times: none is always misread, but for one pair at most."""
    pairs = [(speaker, digit) for speaker in voice.speakers for digit in range(10)]
    texts = [(speaker, digit, seed) for speaker, digit in pairs for seed in range(5)]
    spoken = voice.speak_batch([str(d) for _, d, _ in texts], [s for s, _, _ in texts], [seed for *_, seed in texts])
    heard = Recognizer.load().recognize([audio.samples for audio in spoken], voice.sample_rate)
    right = {pair: 0 for pair in pairs}
    for (speaker, digit, _), digits in zip(texts, heard, strict=True):
        right[speaker, digit] += digits == [digit]
    assert sum(count == 0 for count in right.values()) <= 1, right
    assert sum(right.values()) >= 0.85 * len(texts), right


def test_engines_agree(voice):
    """The native and the torch engine, 0.25 s of each speaker: at most one tie in 12,000 samples."""
    texts = ["4 7"] * len(voice.speakers)
    native, plain = (
        voice.speak_batch(texts, voice.speakers, max_seconds=0.25, engine=engine) for engine in ("native", "torch")
    )
    same = [np.array_equal(a.levels, b.levels) for a, b in zip(native, plain, strict=True)]
    assert sum(same) >= len(same) - 1  # after a tie all that follows is another utterance
    assert {len(one.levels) for one in (*native, *plain)} == {62 * 32}


def test_fed_back_it_gives_what_it_drew(voice):
    """Teacher forcing: the levels of the compiled engine are the inverse CDF of the model's logits given them."""
    speaker = voice.speakers.index(voice.config.default_speaker)
    model = voice.config.model
    parts = part_vectors(voice.word_vectors(["4", "7"]), model.word_parts)
    request = Request(parts, speaker, 3, max_frames=1000, max_word_frames=300, sampling=voice.config.sampling)
    [audio] = voice.engine("native").generate([request])
    np.testing.assert_array_equal(audio.levels, voice.speak("4 7", seed=3).levels)
    model = voice.model().eval()
    frame = voice.config.model.frame_size
    frames = len(audio.levels) // frame
    ends = np.array(audio.word_ends) // frame
    pointer = np.minimum(np.searchsorted(ends, np.arange(frames), side="right"), len(ends) - 1)
    with torch.inference_mode():
        output = model(
            torch.from_numpy(audio.levels.astype(np.int64))[None],
            torch.from_numpy(parts)[None],
            torch.tensor([len(parts)]),
            torch.from_numpy(pointer)[None],
            torch.tensor([speaker]),
        )
    logits = output.logits[0].reshape(len(audio.levels), -1)
    uniforms = torch.from_numpy(Uniforms(3, frame).rows(frames)[:, :frame].reshape(-1))
    temperature = torch.full((len(logits),), voice.config.sampling.temperature)
    drawn = draw_codes(logits, uniforms, temperature).numpy()
    ties = int((drawn != audio.levels).sum())
    assert ties <= 2, f"{ties} of {len(drawn)} levels differ: rounding decides once in many thousands at most"
    # The advance bit: the summed hazard passes the drawn threshold where each turn ended.
    hazard = torch.nn.functional.softplus(output.advance_logits[0]).numpy()
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        assert hazard[start:end].sum() > 0.2


def test_silence_and_loudness(voice):
    audio = voice.speak("1 2 3 4 5", seed=1)
    assert abs(audio.samples.mean()) < 1e-3
    assert 0.1 < np.abs(audio.samples).max() < 1
