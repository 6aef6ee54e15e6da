"""A corpus of other words than digits, from its recordings to a voice that says them."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from helpers.miniature_fsdd import tone as miniature
from helpers.train_command import SMALL, tts_train

from data_recipes.corpus import Recording
from tts.cli.main import main
from tts.core.errors import InputError
from tts.evaluation.callbacks import callbacks, held_out_texts
from tts.evaluation.material import check_digits
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.training.config import LossConfig, RunConfig, TrainConfig, ValidationConfig
from tts.training.data import of_recordings
from tts.training.loop import train
from tts.voice import Voice, load_voice

WORDS = ("and", "hundred", "o'clock", "three")


def tone(word: str, split: str) -> Recording:
    wave = 0.3 * np.sin(np.arange(1200) * (0.1 + 0.1 * WORDS.index(word))) * np.hanning(1200)
    return Recording(wave.astype(np.float32), word, "ann", 0, 8000, f"{word}-{split}")


RECORDINGS = {split: [tone(word, split) for word in WORDS] for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    sizes = {"dim": 16, "sample_dim": 16, "hist_size": 16, "text_dim": 8, "upsample_rank": 4, "duration_dim": 8}
    config = RunConfig(
        name="small",
        output=tmp_path_factory.mktemp("runs") / "run",
        model=TwoTierConfig(**sizes),
        loss=LossConfig(spectral_offsets=(1,), n_mels=8, n_fft=64),
        train=TrainConfig(steps=2, batch_size=2, validate_every=2, checkpoint_every=2, precision="fp32"),
        validation=ValidationConfig(sequences=2, spoken=1),
    )
    config, data = of_recordings(config, RECORDINGS, ("ann",), [])
    assert data.vocabulary == WORDS
    train(config, data, callbacks(config))
    return config


def test_the_voice_says_the_words_of_its_corpus(run):
    voice = load_voice(run.output / "voice")
    assert voice.vocabulary == WORDS == tuple(sorted(voice.config.vocabulary))
    assert voice.check("Three hundred AND 3!") == ["three", "hundred", "and", "three"]
    audio = voice.speak("three hundred", seed=1, max_seconds=1)
    assert len(audio.samples) and audio.words == ["three", "hundred"]
    assert voice.word_vectors(["hundred"]).shape == (1, 384)
    with pytest.raises(InputError, match=r"cannot say 'hunderd'; it says 4 words, which `tts voices VOICE` lists; did"):
        voice.check("hunderd")
    [wav] = (run.output / "samples" / "step-000002").glob("0-*.wav")
    assert set(wav.stem[2:].replace("o'clock", "x").split("-")) <= {"and", "hundred", "x", "three", "3"}


def test_a_voice_reads_numbers_in_the_language_of_its_prompts(tmp_path):
    (tmp_path / "ana").mkdir()
    for number, word in enumerate(("cinco", "mil", "veintiuno")):
        soundfile.write(tmp_path / "ana" / f"{word}.wav", miniature(number, 0), 8000)
    small = [option for option in SMALL if "speakers" not in option]
    corpus = ["data.corpus=prompts", f"data.source={tmp_path / 'ana'}", "data.options.languages=[es]"]
    (tmp_path / "c.yaml").write_text("")
    assert tts_train(tmp_path / "c.yaml", *small, *corpus, f"output={tmp_path / 'run'}", "validation.spoken=0") == 0
    voice = load_voice(tmp_path / "run" / "voice")
    assert voice.config.language == "es"
    assert voice.check("21.005", how="cardinal") == ["veintiuno", "mil", "cinco"]


def test_commands_know_its_words(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    voice = str(run.output / "voice")
    assert main(["voices", voice]) == 0
    assert capsys.readouterr().out.split() == list(WORDS)
    monkeypatch.setattr("tts.voice.installed_voices", lambda: {"small": run.output / "voice"})
    assert main(["voices"]) == 0
    assert "ann       and, hundred, o'clock, three" in capsys.readouterr().out
    assert main(["speak", "3 o'clock", "--voice", voice, "--max-seconds", "0.2"]) == 0
    assert (tmp_path / "three-o'clock.wav").is_file()
    capsys.readouterr()
    for flags, refused in (
        (["--judges", "own,whisper"], "own knows digits only, and the voice says other words; choose among whisper"),
        (["--judges", "periodicity"], "whisper must be among them"),
    ):
        assert main(["evaluate", "--voice", voice, "--out", "report", *flags]) == 2
        assert refused in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "report").exists()


def test_what_the_recognizer_does_not_know_is_not_judged(run):
    judged = replace(run, validation=ValidationConfig(judged=10))
    with pytest.raises(InputError, match=r"the recordings have 'and'; set validation.judged: 0"):
        of_recordings(judged, RECORDINGS, ("ann",), [])
    with pytest.raises(InputError, match=r"vocabulary holds 'And'"):
        of_recordings(run, {"train": [replace(RECORDINGS["train"][0], word="And")]}, ("ann",), [])


def test_a_voice_of_some_digits_says_those_in_both_forms():
    voice = Voice.from_model(
        TwoTier(TwoTierConfig(dim=8, sample_dim=8, hist_size=8, text_dim=4)),
        speakers=["ann"], sample_rate=8000, text_encoder=TextEncoderConfig(), vocabulary=("five", "one"),
    )  # fmt: skip
    assert voice.vocabulary == tuple(sorted(("1", "5", "five", "one"))) == tuple(sorted(voice.config.vocabulary))
    assert voice.check("51 One") == ["5", "1", "one"]
    for text in ("7", "517", "seven", "fife"):
        with pytest.raises(InputError, match=rf"cannot say '{text}'; it says 4 words, which `tts voices VOICE` lists"):
            voice.check(text)
    with pytest.raises(InputError, match="the voice unnamed does not say 0, 2, 3, 4, 6, 7, 8, 9, and the texts"):
        check_digits(voice)


def test_a_training_of_single_words_is_judged_by_single_words():
    texts = held_out_texts(20, ("unseen",), ("four", "one"), lengths=(1,))
    assert len(texts) == 20 and set(texts) == {("four",), ("one",)}


def test_texts_to_judge_are_of_the_words_that_were_trained():
    texts = held_out_texts(8, ("unseen",), ("four", "one"))
    assert [len(text) for text in texts] == [2, 3, 4, 5] * 2
    assert {word for text in texts for word in text} <= {"four", "one"}
