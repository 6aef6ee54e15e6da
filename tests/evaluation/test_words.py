"""A voice of other words than digits is judged: its texts, its judges, its report. Nothing is trained."""

import argparse
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from helpers.miniature_fsdd import tone
from helpers.untrained_voice import MODEL

from data_recipes.sequences import SequenceOptions
from data_recipes.splits import combination_split
from tts.cli import evaluate as cli
from tts.core.errors import InputError
from tts.evaluation import running
from tts.evaluation.judges import loading
from tts.evaluation.judges.judge import error_score
from tts.evaluation.judges.periodicity import PeriodicityJudge
from tts.evaluation.judges.whisper import FREE
from tts.evaluation.material import for_voice, unit_of
from tts.evaluation.metrics import bootstrap_difference
from tts.evaluation.numbers import draw_numbers, is_new, spoken
from tts.evaluation.report import make_tables, markdown, write_reports
from tts.evaluation.systems import of_voice
from tts.models.two_tier import TwoTier
from tts.text.encoder import TextEncoderConfig
from tts.voice import Voice

FILES = [*map(str, range(21)), *(str(10 * k) for k in range(3, 10)), "hundred", "thousand", "oh", "oclock", "day-1"]
RATE = 8000


@pytest.fixture(scope="module", autouse=True)
def few():
    """Limits of few sequences, and few players in a report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tts.evaluation.material.LIMIT_SEQUENCES", 10)
        patch.setattr("tts.evaluation.report.PLAYED", 1)
        yield


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompts") / "en_US_f_Ann" / "digits"
    folder.mkdir(parents=True)
    for number, name in enumerate(FILES):
        soundfile.write(folder / f"{name}.wav", tone(number % 10, number % 5, RATE)[: RATE // 5], RATE)
    return folder.parent


def words_of(prompts):
    from data_recipes.prompts import load_corpus

    return load_corpus(prompts).vocabulary


def speaking(words, seed=0, language="en", **training):
    torch.manual_seed(seed)
    data = {"corpus": "prompts", "sequences": {"max_digits": 2, **training}}
    return Voice.from_model(
        TwoTier(replace(MODEL, word_dim=len(words), n_speakers=1)),
        speakers=["en_US_f_Ann"],
        sample_rate=RATE,
        text_encoder=TextEncoderConfig(),
        vocabulary=words,
        word_vectors=dict(zip(words, np.eye(len(words), dtype=np.float32), strict=True)),
        max_unit_seconds=0.1,
        language=language,
        name="numbers",
        training={"config": {"data": data}},
    )


@pytest.fixture(scope="module")
def voice(prompts):
    return speaking(words_of(prompts))


def material_of(voice, prompts, splits=("test_unseen", "cardinal", "time"), count=4):
    return for_voice(voice, None, prompts, splits, count, 0, 3, False)


class Reader:
    """In place of Whisper: it misses the last word of the voice's every second text, and reads the rest."""

    name = "whisper"
    measures = loading.WhisperJudge.measures

    def settings(self):
        return "in its place"

    def __init__(self, real=()):
        self.real, self.calls = set(real), 0

    def __call__(self, wave, sample_rate, said, speaker):
        own = len(wave) not in self.real
        self.calls += own
        return {FREE: error_score(said, said[:-1] if own and self.calls % 2 else said)}


@pytest.fixture(scope="module")
def judged(voice, prompts, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    material = material_of(voice, prompts)
    reader = Reader(len(item.audio) for items in material.splits.values() for item in items)
    evaluation = of_voice(voice, material, None, out, 0, judges=[reader, PeriodicityJudge()])
    return out, evaluation, running.run(evaluation, out)


# Texts


def test_texts_are_new_to_the_training(voice, prompts):
    material = material_of(voice, prompts, count=6)
    assert material.unit == unit_of(voice) == "word"
    texts = {name: [item.text for item in items] for name, items in material.splits.items()}
    assert all(len(set(found)) == 6 for found in texts.values())
    trained = SequenceOptions(max_digits=2)
    for item in (item for items in material.splits.values() for item in items):
        assert is_new(item.words, trained)
        assert voice.check(item.text) == item.words
        assert item.boundaries[-1] == len(item.audio)
    assert {combination_split(text.split()) for text in texts["test_unseen"]} == {"unseen"}
    assert all({"hundred", "thousand"} & set(text.split()) for text in texts["cardinal"][1:5])
    assert not {"hundred", "thousand"} & set(" ".join(texts["time"]).split()) - {"hundred"}
    assert any("errors are of words" in note for note in material.notes)
    again = material_of(voice, prompts, count=6)
    assert texts == {name: [item.text for item in items] for name, items in again.splits.items()}


def test_a_number_needs_its_words(prompts):
    words = words_of(prompts)
    assert spoken("342016", "cardinal", "en", words) == tuple(
        ["three", "hundred", "forty", "two", "thousand", "sixteen"]
    )
    assert spoken("1000000", "cardinal", "en", words) is None
    assert spoken("7:00", "time", "en", words) == ("seven", "o'clock")
    assert not is_new(("seven",), SequenceOptions())
    assert is_new(("seven",) * 3, SequenceOptions()) and is_new(("a", "b", "c", "d"), SequenceOptions(max_digits=3))
    assert is_new(("a", "b", "c", "d"), SequenceOptions(hold_outs=("length",)))


def test_texts_that_cannot_be_drawn_are_refused(voice, prompts, monkeypatch):
    monkeypatch.setattr("tts.evaluation.numbers.MAX_TRIES", 40)
    with pytest.raises(InputError, match="split words is of voices that say digits alone; choose among test_seen"):
        material_of(voice, prompts, ["words"])
    with pytest.raises(
        InputError, match=r"--n 4: split cardinal: en_US_f_Ann has words for 0 texts .* leave the split"
    ):
        material_of(speaking(["monday", "oh"]), prompts, ["cardinal"])
    with pytest.raises(InputError, match="no rules for numbers in the language 'xx'"):
        material_of(speaking(words_of(prompts), language="xx"), prompts, ["time"])
    with pytest.raises(InputError, match="no recording of 'march' and 0 other words"):
        material_of(speaking([*words_of(prompts), "march"]), prompts)
    with pytest.raises(InputError, match="--data has digits only"):
        for_voice(voice, prompts, None, ["time"], 4, 0, 3, False)
    with pytest.raises(InputError, match=r"split test_unseen has \d combinations of words; ask for at most \d"):
        material_of(speaking(["monday", "oh", "seven"]), prompts, ["test_unseen"])
    with pytest.raises(InputError, match="not downloaded"):
        material_of(voice, None)


def test_speakers_come_in_turn(voice, prompts):
    from data_recipes.prompts import load_corpus

    options = SequenceOptions(max_digits=2)
    first = load_corpus(prompts).splits["test"]
    both = [*first, *(replace(item, speaker="bob") for item in first)]
    found = draw_numbers(both, options, options, "time", "en", 6, 1)
    assert sorted(item.speaker for item in found) == ["bob"] * 3 + ["en_US_f_Ann"] * 3


# The run and its report


def test_errors_are_of_words(judged):
    _, evaluation, (report, utterances) = judged
    assert report["unit"] == "word" and "recognizer" not in evaluation.settings
    metrics = report["splits"]["cardinal"]
    assert metrics["voice"]["words"] == metrics["ground_truth"]["words"] > 8
    assert metrics["ground_truth"]["word_error"] == 0 and metrics["ground_truth"]["exact"] == 1
    assert metrics["voice"]["deletions"] == 2 and metrics["voice"]["exact"] == 0.5
    # The last word is missing, so the voice stopped too early; its sound and its length are judged as of digits.
    assert metrics["voice"]["cut_short"] >= 0.5 and metrics["voice"]["duration_ratio"] > 0
    assert 6 < metrics["voice"]["nll_bits"] < 10
    spoken = [item for item in utterances if item.system == "voice"]
    assert all(item.recognized == (item.words if item.index % 2 else item.words[:-1]) for item in spoken)
    judges = metrics["voice"]["judges"]
    assert list(judges) == [FREE, "periodicity", "harmonic-to-noise ratio"]
    assert judges[FREE]["value"] == metrics["voice"]["word_error"] == judges[FREE]["difference"]
    low, high = judges[FREE]["difference_95"]
    assert low <= judges[FREE]["difference"] <= high
    assert judges["periodicity"]["difference"] == pytest.approx(
        judges["periodicity"]["value"] - metrics["ground_truth"]["judges"]["periodicity"]["value"]
    )
    assert metrics["voice"]["confusions"][0][2] == "-"


def test_the_report_speaks_of_words(judged):
    out, _, (report, utterances) = judged
    tables = {table.title: table for table in make_tables(report)}
    assert tables["Judges"].header[-1] == "voice less ground_truth"
    assert all(len(row) == len(table.header) for table in tables.values() for row in table.rows)
    text = markdown(report, tables.values())
    assert "## By number of words" in text and "word error, %" in text and "a word's segment" in text
    assert "digit" not in text.replace("SC09 digits", "")
    assert tables["Errors of the voice"].rows[0][2] == "-"
    write_reports(out, report, utterances)
    assert "word error by split" in (out / "report.html").read_text()


def test_a_judge_of_digits_is_refused_by_name():
    for names, unit, language, message in (
        (["own", "whisper"], "word", "en", "own knows digits only, .* choose among whisper, dnsmos, periodicity"),
        (["whisper", "second"], "word", "en", "second knows digits only"),
        (["periodicity"], "word", "en", "whisper must be among them"),
        (["whisper"], "word", "fr", "whisper knows English only, and the voice speaks 'fr'"),
        (["whisper"], "digit", "en", "own must be among them"),
    ):
        with pytest.raises(InputError, match=message):
            loading.load_judges(names, unit, language)


def test_a_baseline_says_the_same_words(voice, prompts, tmp_path):
    material = material_of(voice, prompts, ["time"])
    lacking = material.splits["time"][0].words[0]
    other = speaking([word for word in words_of(prompts) if word != lacking])
    with pytest.raises(InputError, match=f"does not say {lacking}"):
        of_voice(voice, material, None, tmp_path, 0, other)


def test_the_command(voice, prompts, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(loading.JUDGES, "whisper", Reader)
    voice.save(tmp_path / "voice", "# A voice")
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    flags = ["--voice", str(tmp_path / "voice"), "--source", str(prompts), "--n", "2", "--max-digits", "2"]
    assert cli.run(parser.parse_args([*flags, "--out", str(tmp_path / "out")])) == 0
    said = capsys.readouterr().out
    assert said.count("word error") == 6 and "worst judge: whisper, free finds" in said
    with pytest.raises(InputError, match="--recognizer reads digits"):
        cli.run(parser.parse_args([*flags, "--recognizer", "x", "--out", str(tmp_path / "other")]))


def test_a_difference_is_of_pairs():
    # Hard texts are hard for both: apart each varies, the difference does not.
    hard = [0, 4, 1, 3, 0, 2, 4, 0]
    one, other = ([x + 1 for x in hard], [5] * 8), (hard, [5] * 8)
    assert bootstrap_difference(one, other, np.random.default_rng(0)) == pytest.approx((0.2, 0.2))
    low, high = bootstrap_difference((hard, [5] * 8), (hard[::-1], [5] * 8), np.random.default_rng(0))
    assert low < 0 < high
