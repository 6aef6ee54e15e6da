"""Prompts: miniatures of the layouts of Asterisk and FreeSWITCH and of a plain folder; real ones where they are."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.miniature_fsdd import tone

from data_recipes.prompt_words import LANGUAGES, words_of
from data_recipes.prompts import load_corpus
from tts.core.errors import InputError
from tts.text.normalize import check_vocabulary


def write(path: Path, number: int = 0, rate: int = 8000, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(number, number, rate), rate, **options)
    return path


def said(corpus) -> dict[str, list[str]]:
    rows = corpus.splits["train"]
    return {name: sorted(row.word for row in rows if row.speaker == name) for name in {row.speaker for row in rows}}


def test_asterisk(tmp_path: Path) -> None:
    for number, name in enumerate(("7", "h-1", "day-0", "mon-3", "unknown")):
        write(tmp_path / "en_US_f_Ann" / "digits" / f"{name}.wav", number)
        write(tmp_path / "ru_RU_f_Eva" / "digits" / f"{name}.wav", number)
    write(tmp_path / "en_US_f_Ann" / "letters" / "q.wav")
    write(tmp_path / "en_US_f_Ann" / "phonetic" / "q_p.wav")
    write(tmp_path / "en_US_f_Ann" / "vm-goodbye.wav")
    corpus = load_corpus(tmp_path)
    assert said(corpus) == {
        "en_US_f_Ann": ["april", "first", "q", "quebec", "seven", "sunday"],
        "ru_RU_f_Eva": sorted(["апреля", "первый", "семь", "воскресенье"]),
    }
    ids = [[row.id for row in rows] for rows in corpus.splits.values()]
    assert ids[0] == ids[1] == ids[2] and "seven_en_US_f_Ann_0" in ids[0]
    assert any("train, validation and test" in note for note in corpus.notes) and corpus.license == "cc-by-sa-3.0"
    assert corpus.languages == ("en", "ru")
    assert any(note.startswith("2 files were left out") for note in corpus.notes)


def test_freeswitch(tmp_path: Path) -> None:
    voice = tmp_path / "en" / "us" / "callie"
    write(voice / "digits" / "8000" / "7.wav")
    write(voice / "digits" / "16000" / "7.wav", 1, 16_000)
    write(voice / "time" / "16000" / "day-0.wav", 2)
    write(voice / "ascii" / "16000" / "97.wav", 3)
    write(voice / "phonetic-ascii" / "16000" / "97.wav", 4)
    corpus = load_corpus(tmp_path)
    assert said(corpus) == {"callie": ["a", "alpha", "seven", "sunday"]}
    assert "1 of 4 files were resampled to 8000 Hz" in corpus.notes


def test_plain_folders_are_speakers(tmp_path: Path) -> None:
    formats = {"uno.wav": {}, "dos.flac": {}, "tres.ogg": {}, "cuatro.mp3": {}}
    formats["cinco.gsm"] = {"format": "RAW", "subtype": "GSM610"}
    for number, (name, options) in enumerate(formats.items()):
        write(tmp_path / "ana" / name, number, **options)
    write(tmp_path / "ben" / "take one.wav")
    (tmp_path / "ben" / "words.csv").write_text("file,word\ntake one.wav,Niño\n", encoding="utf-8")
    corpus = load_corpus([tmp_path / "ana", tmp_path / "ben"], languages=["es"])
    assert said(corpus) == {"ana": ["cinco", "cuatro", "dos", "tres", "uno"], "ben": ["niño"]}
    assert said(load_corpus(tmp_path, speakers=["ben"])) == {"ben": ["niño"]}
    assert corpus.license == "unknown"


def test_two_recordings_of_a_word(tmp_path: Path) -> None:
    write(tmp_path / "ann" / "one.wav")
    write(tmp_path / "ann" / "one.flac")
    with pytest.raises(InputError, match=r"one\.wav: one\.flac beside it has the same name"):
        load_corpus(tmp_path / "ann")
    (tmp_path / "ann" / "words.csv").write_text("file,word\none.wav,one\none.flac,one\n")
    with pytest.raises(InputError, match="keep one recording of each word"):
        load_corpus(tmp_path / "ann")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("one.wav,one\n", "no columns file,word"),
        ("file,word\ntwo.wav,two\n", "line 2: there is no file 'two.wav'"),
        ("file,word\none.wav,one two\n", "'one two' is not one word"),
        ("file,word\none.wav,\n", "'' is not one word"),
    ],
)
def test_bad_tables(tmp_path: Path, table: str, message: str) -> None:
    write(tmp_path / "one.wav")
    (tmp_path / "words.csv").write_text(table)
    with pytest.raises(InputError, match=message) as caught:
        load_corpus(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    for name, content, message in (("a.wav", b"", "is empty"), ("b.wav", b"RIFFxxxx", "not readable|cut short")):
        folder = tmp_path / name[0]
        folder.mkdir()
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            load_corpus(folder)
    write(tmp_path / "c" / "c.wav")
    soundfile.write(tmp_path / "c" / "c.wav", (100 * tone(0, 0)).clip(-1, 1), 8000)
    with pytest.raises(InputError, match=r"c\.wav: is clipped"):
        load_corpus(tmp_path / "c")
    soundfile.write(tmp_path / "c" / "c.wav", np.zeros(4000), 8000)
    with pytest.raises(InputError, match="holds only silence"):
        load_corpus(tmp_path / "c")


def test_places_and_options_that_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "voice" / "digits" / "7.wav")
    for arguments, message in (
        ({"sources": tmp_path / "nowhere"}, "no such folder"),
        ({"sources": None}, "not downloaded"),
        ({"sources": tmp_path}, "language is not known.*--language en"),
        ({"sources": tmp_path, "languages": ["xx"]}, "'xx' has no table"),
        ({"sources": tmp_path, "languages": ["en", "es"]}, "2 languages for 1 folders"),
        ({"sources": tmp_path / "voice" / "digits", "languages": ["en"]}, "give the one around it"),
        ({"sources": [tmp_path, tmp_path], "languages": ["en"]}, "two voices are called voice"),
        ({"sources": tmp_path, "languages": ["en"], "words": ["seven", "eight"]}, "no recording says eight"),
        ({"sources": tmp_path, "languages": ["en"], "speakers": ["ann"]}, "'ann' has no folder"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            load_corpus(**arguments)
        assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recordings of words there"):
        load_corpus(tmp_path / "empty")


def test_every_table_is_of_single_words() -> None:
    for language in LANGUAGES:
        for kind in ("digits", "letters", "phonetic", "ascii", "phonetic-ascii"):
            assert all(check_vocabulary([word]) is None for word in words_of(language, kind).values())
        digits = words_of(language, "digits")
        assert len({digits[str(number)] for number in range(17)}) == 17
        assert {f"day-{k}" for k in range(7)} | {f"mon-{k}" for k in range(12)} <= set(digits)
    assert words_of("it", "digits")["38"] == "trentotto" and words_of("fr", "digits")["h-20"] == "vingtième"


def test_real_prompts(prompts_dir: Path) -> None:
    corpus = load_corpus(prompts_dir / "fr_CA_f_June", words=["sept", "dimanche", "août"])
    assert said(corpus) == {"fr_CA_f_June": ["août", "dimanche", "sept"]}
    assert all(0.2 < len(row.audio) / 8000 < 1.5 for row in corpus.splits["test"])
