"""Texts that begin at any time, side by side: each as it is made alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchaudio
from helpers.voices import SMALL, make_voice

import tts
from tts.core.errors import InputError
from tts.generation.native import comb

TEXTS = [("472", 0, 1.0), ("1 2 3 4", 1, 2.0), ("9, 8", 2, 0.25), ("5", 3, 4.0), ("[0.2s] 6 6", 4, 1.0)]


@pytest.fixture(scope="module")
def voice():
    return tts.load_voice()


def spoken(batch, texts, leave=None):
    """What is made of each text, two or more at a time; one is left after its third chunk."""
    waiting, chunks, at, whole = list(enumerate(texts)), {}, {}, {}
    while waiting or batch.busy:
        while waiting and batch.free:
            number, text = waiting.pop(0)
            at[batch.begin(text)] = number
            chunks[number] = []
        for place, samples, audio in batch.run(0.02):
            number = at[place]
            chunks[number].append(samples)
            if audio:
                whole[number] = audio
            if number == leave and len(chunks[number]) == 3:
                batch.leave(place)
    return {number: np.concatenate(parts) for number, parts in chunks.items()}, whole


@pytest.mark.parametrize("places", [1, 2, 5])
def test_each_text_is_as_if_alone(voice, places):
    texts = [voice.checked(text, seed=seed, speed=speed) for text, seed, speed in TEXTS]
    made, whole = spoken(voice.batch(places), texts)
    for number, (text, seed, speed) in enumerate(TEXTS):
        alone = voice.speak(text, seed=seed, speed=speed)
        np.testing.assert_array_equal(made[number], alone.samples)
        np.testing.assert_array_equal(whole[number].codes, alone.codes)
        assert whole[number].segments == alone.segments
        assert whole[number].words == alone.words


def test_a_voice_with_pre_emphasis_takes_it_back():
    flat = make_voice()
    emphasized = make_voice(config=replace(SMALL, pre_emphasis=0.85))
    texts = [emphasized.checked("1 2", seed=0), emphasized.checked("[0.1s] 3", seed=1)]
    made, whole = spoken(emphasized.batch(2), texts)
    for number, (text, seed) in enumerate([("1 2", 0), ("[0.1s] 3", 1)]):
        alone = emphasized.speak(text, seed=seed)
        np.testing.assert_array_equal(alone.codes, flat.speak(text, seed=seed).codes)
        expected = torchaudio.functional.deemphasis(torch.from_numpy(flat.speak(text, seed=seed).samples), 0.85)
        np.testing.assert_allclose(alone.samples, expected.clamp(-1, 1).numpy(), atol=1e-5)
        np.testing.assert_array_equal(made[number], alone.samples)
        np.testing.assert_array_equal(whole[number].samples, alone.samples)
        with emphasized.stream(text, seed=seed) as stream:
            np.testing.assert_array_equal(np.concatenate(list(stream)), alone.samples)


def test_the_first_chunk_is_short(voice):
    batch = voice.batch(2)
    batch.begin(voice.checked("4 7 2", comb_filter=0))
    ((_, samples, audio),) = batch.run(0.02)
    assert (len(samples), audio) == (160, None)
    # A comb filter has to know 49 ms more than it gives.
    batch.begin(voice.checked("4 7 2", comb_filter=1))
    assert [[len(chunk.samples) for chunk in batch.run(0.02)] for _ in range(4)] == [
        [160],
        [160],
        [160, 80],
        [160, 160],
    ]


@pytest.mark.parametrize("name", ["digits", "numbers"])
@pytest.mark.parametrize("comb_filter", [0, 1])
def test_a_stream_begins_with_20_ms(name, comb_filter):
    voice = tts.load_voice(name)
    frame, text = voice.config.model.frame_size, "seven" if name == "numbers" else "7"
    with voice.stream(text, comb_filter=comb_filter) as stream:
        assert voice.sample_rate // 50 <= len(next(stream)) < voice.sample_rate // 50 + frame


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_one_that_is_left_disturbs_nobody(engine):
    small = make_voice()
    texts = [small.checked(text, seed=seed, engine=engine) for text, seed in (("1 2", 0), ("3 4", 1), ("5 6", 2))]
    batch = small.batch(2, engine)
    made, whole = spoken(batch, texts, leave=0)
    assert sorted(whole) == [1, 2]
    assert batch.free == 2
    for number in whole:
        np.testing.assert_array_equal(made[number], small.speak(("1 2", "3 4", "5 6")[number], seed=number).samples)
    assert len(made[0]) == 3 * 160 and (made[0] == small.speak("1 2", seed=0).samples[: 3 * 160]).all()


def test_segments_say_where_the_pointer_stood(voice):
    audio = voice.speak("4 7", seed=1)
    names = ["pause", "onset", "nucleus", "coda", "pause"]
    assert [segment.unit for segment in audio.segments] == [*names, *names[1:]]
    assert [segment.word for segment in audio.segments] == [0] * 5 + [1] * 4
    ends = [segment.end for segment in audio.segments]
    assert ends == sorted(ends) and ends[-1] == len(audio.samples)
    assert [ends[4], ends[8]] == audio.word_ends
    whole = make_voice().speak("4 7")
    assert [(segment.word, segment.unit) for segment in whole.segments] == [(0, "word"), (1, "word")]
    assert [segment.end for segment in whole.segments] == whole.word_ends


def test_a_text_can_be_cut(voice):
    batch = voice.batch(1)
    batch.begin(voice.checked("4 7 2").capped(0.5))
    chunks = []
    while batch.busy:
        chunks += batch.run(1)
    assert chunks[-1].audio.stop_reason == "cap"
    assert len(chunks[-1].audio.samples) == 4000
    text = voice.checked("4 7 2")
    assert text.capped(60).request.max_frames == text.request.max_frames


def test_what_cannot_be_said_is_refused(voice):
    with pytest.raises(InputError, match="cannot say"):
        voice.checked("hello")
    with pytest.raises(InputError, match="speed is 5"):
        voice.checked("4", speed=5)
    with pytest.raises(InputError, match="streams is 0"):
        voice.batch(0)


def test_each_block_is_filtered_once(voice, monkeypatch):
    """The whole is made of the chunks: a long text's end must not stop those beside it to filter it again."""
    blocks = []
    of_comb = comb.filter_blocks
    monkeypatch.setattr(comb, "filter_blocks", lambda *one: blocks.append(one[2]) or of_comb(*one))
    batch = voice.batch(1)
    batch.begin(voice.checked("4 7", comb_filter=1))
    audio = None
    while audio is None:
        for chunk in batch.run(0.06):
            audio = chunk.audio
    assert sum(blocks) == -(-len(audio.samples) // 80)
    blocks.clear()
    with voice.stream("4 7", comb_filter=1) as stream:
        for chunk in stream:
            chunk *= 0  # the caller's own
        np.testing.assert_array_equal(stream.audio().samples, audio.samples)
    assert sum(blocks) == -(-len(audio.samples) // 80)
