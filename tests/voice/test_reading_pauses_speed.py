"""Reading of numbers, written pauses and speed, in Python and on the command line."""

import io
import itertools
import sys

import numpy as np
import pytest
import soundfile
from helpers.voices import SMALL, make_voice

import tts
from tts.cli.main import main
from tts.core.errors import InputError
from tts.voice import SpeakOptions

RATE = 8000


@pytest.fixture(scope="module")
def voice():
    """The voice that ships: explicit durations, four units a word."""
    return tts.load_voice()


@pytest.fixture(scope="module")
def implicit():
    return make_voice()


@pytest.mark.parametrize("which", ["voice", "implicit"])
def test_pauses_are_silence_after_the_word(which, request):
    voice = request.getfixturevalue(which)
    plain = voice.speak("472", seed=1, comb_filter=0)  # its places would lie elsewhere
    paused = voice.speak("[10ms] 4, 7 [0.5s] 2 [100ms]", seed=1, comb_filter=0)
    lengths = [80, 2000, 4000, 800]
    assert paused.words == plain.words
    assert paused.word_ends == [end + sum(lengths[: word + 2]) for word, end in enumerate(plain.word_ends)]
    parts, begin = [], lengths[0]
    for end, length in zip(paused.word_ends, lengths[1:], strict=True):
        parts.append(paused.samples[begin : end - length])
        assert not paused.samples[end - length : end].any()
        begin = end
    assert np.array_equal(np.concatenate(parts), plain.samples)
    assert not paused.samples[: lengths[0]].any()
    assert paused.word_ends[-1] == len(paused.samples) == len(paused.codes)


def test_every_way_of_speaking_is_the_same(voice):
    text, options = "4, 7 [0.2s] 2", SpeakOptions(speed=1.5, read="digits")
    spoken = voice.speak(text, seed=3, options=options)
    with voice.stream(text, seed=3, options=options) as stream:
        chunks = list(stream)
        assert stream.audio().word_ends == spoken.word_ends
    (batched,) = voice.speak_batch([text], seeds=[3], options=options)
    (each,) = voice.speak_each([text], seeds=itertools.repeat(3), options=options)
    for samples in (np.concatenate(chunks), batched.samples, each.samples):
        assert np.array_equal(samples, spoken.samples)


def test_speed(voice):
    lengths = [voice.speak("4 7 2", seed=1, speed=speed).seconds for speed in (0.25, 0.75, 1, 1.5, 4)]
    assert np.allclose(np.array(lengths) * [0.25, 0.75, 1, 1.5, 4], lengths[2], rtol=0.03)
    assert voice.speak("4 7 2", seed=1, speed=np.float32(1)).samples.tolist() == (
        voice.speak("4 7 2", seed=1).samples.tolist()
    )


def test_a_slow_voice_is_not_cut(voice):
    slow = voice.speak("7" * 8, seed=1, speed=0.5, duration_spread=1.0)
    assert slow.stop_reason == "stop"
    assert slow.forced_advances == voice.speak("7" * 8, seed=1, duration_spread=1.0).forced_advances


@pytest.mark.parametrize("speed", [0.24, 4.01, 0, -1, float("nan"), float("inf"), "fast", True, None])
def test_speeds_that_are_refused(voice, speed):
    with pytest.raises(InputError, match="speed is"):
        voice.speak("4", speed=speed)


def test_implicit_durations_have_one_speed(implicit):
    with pytest.raises(InputError, match=r"durations while it speaks.*leave speed at 1"):
        implicit.speak("4", speed=2)
    assert implicit.speak("4", speed=1).words == ["4"]


def test_pooled_conditioning_has_no_place_for_a_pause():
    pooled = make_voice(conditioning="pooled")
    assert pooled.speak("4, 7", seed=1).samples.tolist() == pooled.speak("4 7", seed=1).samples.tolist()
    with pytest.raises(InputError, match="no place for a pause"):
        pooled.speak("4 [1s] 7")


def test_numbers_are_read_in_the_words_of_the_voice(voice):
    assert voice.check("4 7", how="cardinal") == ["four", "seven"]
    assert voice.speak("555 0100", read="phone").words == [*["five"] * 3, "zero", "one", "zero", "zero"]
    assert voice.speak("472").words == ["4", "7", "2"]
    for text, how, word in [("42", "cardinal", "forty"), ("7:05", "auto", "oh"), ("+1 555", "phone", "plus")]:
        with pytest.raises(InputError, match=f"cannot say '{word}'"):
            voice.speak(text, read=how)
    with pytest.raises(InputError, match="read is 'roman'"):
        voice.speak("4", read="roman")


def test_a_voice_has_a_language():
    italian = make_voice(config=SMALL)
    from dataclasses import replace

    italian = italian.with_config(replace(italian.config, language="it"))
    with pytest.raises(InputError, match="cannot say 'quattro'"):
        italian.speak("4", read="cardinal")
    dutch = italian.with_config(replace(italian.config, language="nl"))
    assert dutch.check("4") == ["4"]
    with pytest.raises(InputError, match="no rules for numbers in the language 'nl'"):
        dutch.speak("4", read="cardinal")


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["speak", "4 [0.5s] 7", "--speed", "2", "-o", "a.wav"]) == 0
    assert main(["speak", "4 7", "--speed", "2", "-o", "b.wav"]) == 0
    assert soundfile.info("a.wav").frames == soundfile.info("b.wav").frames + RATE // 2
    assert main(["speak", "1-2", "--read", "phone"]) == 0
    assert main(["speak", "4, 7"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "b.wav", "12.wav", "47.wav"}
    capsys.readouterr()
    for arguments, part in [
        (["42", "--read", "cardinal"], "cannot say 'forty'"),
        (["4", "--read", "roman"], "invalid choice: 'roman'"),
        (["4", "--speed", "5"], "from 0.25 (slow) to 4 (fast)"),
        (["4 [20s] 7"], "may last 10 s"),
        (["4 [soon] 7"], "write one as [0.5s]"),
    ]:
        assert main(["speak", *arguments, "-o", "no.wav"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert part in line
    assert not (tmp_path / "no.wav").exists()


def test_lines_from_standard_input(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    lines = tmp_path / "lines.txt"
    lines.write_text("555 0100\n4 [1s] 7\n42nd\n")
    with open(lines) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert main(["speak", "-", "--read", "phone", "--speed", "2", "-o", "out.wav"]) == 2
    assert "line 3: '42nd' cannot be read as phone" in capfd.readouterr().err
    assert soundfile.info("out-2.wav").frames > RATE
    assert io.BytesIO((tmp_path / "out-1.wav").read_bytes()).read(4) == b"RIFF"


def test_a_comb_filter_leaves_pauses_silent():
    """Also before eight, which begins with its vowel."""
    voice = tts.load_voice()
    text, speaker, silent = "[0.1s] 8 , 8 [0.3s] 8", "george", np.zeros(0)
    audio = voice.speak(text, speaker, comb_filter=1)
    silences = voice.checked(text, speaker).request.silences
    for unit, silence in silences.items():
        end = audio.segments[unit].end if unit >= 0 else len(silence)
        silent = np.append(silent, audio.samples[end - len(silence) : end])
    assert len(silent) == 800 + 2000 + 2400
    assert not silent.any()
    assert (audio.samples != voice.speak(text, speaker, comb_filter=0).samples).any()
    with voice.stream(text, speaker, comb_filter=1) as stream:
        np.testing.assert_array_equal(np.concatenate([*stream]), audio.samples)
