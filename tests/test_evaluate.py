"""Evaluation from end to end: material, resuming, sharing among processes, manifests, bad input. Nothing is trained."""

import argparse
import json
import math
import subprocess
import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.miniature_fsdd import write_corpus

from data_recipes.fsdd import build_recordings
from data_recipes.sequences import SequenceOptions, count_combinations
from data_recipes.splits import combination_split
from tts.cli import data as data_cli
from tts.cli import evaluate as cli
from tts.core.errors import InputError
from tts.evaluation import running as evaluate
from tts.evaluation.likelihood import LikelihoodScorer
from tts.evaluation.report import make_tables
from tts.evaluation.test_sets import (
    LONG_DIGITS,
    SPLITS,
    Trained,
    check_splits,
    draw_free,
    for_texts,
    from_dataset,
    from_source,
    shared_speakers,
)
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.recognition.model import Recognizer, RecognizerConfig, RecognizerNet
from tts.text.encoder import TextEncoderConfig
from tts.voice import Voice

MODEL = TwoTierConfig(dim=24, sample_dim=16, hist_size=8, word_dim=20, text_dim=6, n_speakers=2, clock_frames=64)
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VECTORS = dict(zip([*map(str, range(10)), *NAMES], np.eye(20, dtype=np.float32), strict=True))


def voice(seed=0, speakers=("theo", "nobody"), conditioning="pointer", sample_rate=8000):
    torch.manual_seed(seed)
    return Voice.from_model(
        TwoTier(replace(MODEL, conditioning=conditioning)),
        speakers=speakers,
        sample_rate=sample_rate,
        text_encoder=TextEncoderConfig(),
        word_vectors=VECTORS,
        max_unit_seconds=0.15,
        name=f"untrained-{seed}",
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("fsdd"))


@pytest.fixture(scope="session")
def recognizer():
    torch.manual_seed(1)
    return Recognizer(RecognizerNet(RecognizerConfig(channels=16, width=8)), {})


@pytest.fixture(scope="session")
def material(corpus):
    return from_source(corpus, SPLITS, 5, 3, ["theo", "nobody"], 8000)


@pytest.fixture(scope="session")
def dataset(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "sequences"
    parser = argparse.ArgumentParser()
    data_cli.add_arguments(parser)
    flags = ["build", "sequences", "--source", str(corpus), "--speakers", "theo", "--count", "30", "--eval-count", "12"]
    data_cli.build(parser.parse_args([*flags, "--out", str(out)]))
    return out


def report_of(evaluation, out, **options):
    judged = evaluate.run(evaluation, out, **options)
    evaluate.finish(out, *judged)
    return json.loads((out / "report.json").read_text())


# Material


def test_material_of_a_corpus(material):
    assert list(material.splits) == list(SPLITS)
    for name, items in material.splits.items():
        assert len(items) == 5
        assert {item.speaker for item in items} == {"theo"}
        for item in items:
            assert all(take.endswith(tuple(f"_{k}" for k in range(5))) for take in item.takes)
            if name == "single":
                assert len(item.digits) == 1
            if name == "test_unseen":
                assert combination_split(item.digits) == "unseen"
            if name in LONG_DIGITS:
                low, high = LONG_DIGITS[name]
                assert low <= len(item.digits) <= high
    assert [len(item.digits) for item in material.splits["any"]] == [1, 2, 3, 4, 5]
    assert [item.text for item in material.splits["words"]] == [
        " ".join(NAMES[digit] for digit in item.digits) for item in material.splits["test_seen"]
    ]
    longest = max(len(item.audio) for item in material.splits["test_seen"]) / 8000
    assert 0.3 < material.limits.segment_seconds < longest
    assert 0.05 < material.limits.trailing_seconds < 0.3


def test_material_keeps_to_how_the_voice_was_trained():
    sequences = {"max_digits": 3, "gap_seconds": [0.01, 0.02], "hold_outs": ["unseen", "length"]}
    trained = Trained.of({"config": {"data": {"sequences": sequences, "recordings": {"level_dbfs": -30.0}}}})
    options = trained.options()
    assert options.gap_seconds == (0.01, 0.02)
    assert (options.min_digits, options.max_digits, options.hold_outs) == (1, 5, ("unseen",))
    assert trained.recordings.level_dbfs == -30.0
    assert Trained.of({}) == Trained()
    with pytest.raises(InputError, match="max_digit"):
        Trained.of({"config": {"data": {"sequences": {"max_digit": 3}}}})


def test_what_the_voice_may_have_heard_is_said(corpus):
    trained = Trained(sequences=SequenceOptions(max_digits=3, hold_outs=("unseen",)))
    notes = from_source(corpus, ["test_unseen", "bigram"], 2, 0, ["theo"], 8000, trained).notes
    assert len(notes) == 2
    assert notes[0].startswith("bigram") and "at most 3 digits" in notes[1]


def test_material_of_a_dataset(dataset):
    found = from_dataset(dataset, SPLITS, 2, 0, ["theo"], 8000)
    assert {name: len(items) for name, items in found.splits.items()} == dict.fromkeys(SPLITS, 2)
    assert all(len(item.digits) == 1 for item in (*found.splits["single"], *found.reference))
    assert len(found.reference) > 2
    for name, (low, high) in LONG_DIGITS.items():
        assert all(low <= len(item.digits) <= high for item in found.splits[name])
    assert [len(item.digits) for item in found.splits["any"]] == [1, 2]
    assert all(item.boundaries[-1] == len(item.audio) for items in found.splits.values() for item in items)
    assert found.limits.segment_seconds > 0.3


def test_any_text_is_drawn_uniformly(corpus):
    options = SequenceOptions(max_digits=2)
    recordings = build_recordings(corpus, speakers=("theo",))["test"]
    recordings += [replace(item, speaker="ann") for item in recordings]
    drawn = draw_free(recordings, options, "any", 4000, 7)
    texts = [(item.speaker, item.text) for item in drawn]
    assert {text for _, text in texts} == {*map(str, range(10)), *(f"{a} {b}" for a in range(10) for b in range(10))}
    assert Counter(speaker for speaker, _ in texts) == {"ann": 2000, "theo": 2000}
    assert Counter(len(text) for _, text in texts) == {1: 2000, 3: 2000}
    assert all(70 < texts.count((speaker, "4")) < 130 for speaker in ("ann", "theo"))  # 100 each
    # Item i is the same whenever it is asked for, and however many there are.
    assert (drawn[17].audio == draw_free(recordings, options, "any", 18, 7)[17].audio).all()
    assert [(item.speaker, item.text) for item in drawn[:5]] == texts[:5]
    with pytest.raises(IndexError):
        drawn[4000]


def test_ten_thousand_texts_are_not_kept(corpus):
    texts = from_source(corpus, ["any"], 10_000, 0, ["theo"], 8000).splits["any"]
    assert len(texts) == 10_000
    assert len(texts[9_999].digits) == 5
    tracemalloc.start()
    for index in range(0, 10_000, 20):
        assert len(texts[index].audio)
    assert tracemalloc.get_traced_memory()[1] < 5e6  # a sequence, not five hundred
    tracemalloc.stop()


def test_combinations_are_counted():
    assert count_combinations(SequenceOptions(max_digits=3), "test_unseen") == 87
    assert count_combinations(SequenceOptions(max_digits=3), "repeat") == 10
    assert count_combinations(SequenceOptions(max_digits=3), "test_seen", most=50) == 50


def test_texts_of_a_manifest_are_joined(corpus, monkeypatch):
    monkeypatch.setattr("tts.evaluation.test_sets.SPEAKERS", ("theo",))
    monkeypatch.setattr("data_recipes.fsdd.SPEAKERS", ("theo",))
    real = for_texts(["4 7", "two"], corpus, 0)
    assert [item.digits for item in real.sequences] == [[4, 7], [2]]
    assert real.limits.segment_seconds > 0
    assert real.reference == []  # not all of them are single digits
    assert len(for_texts(["4", "two"], corpus, 0).reference) == 400


# Running


@pytest.mark.parametrize("conditioning", ["pointer", "pooled"])
def test_everything_is_judged(material, recognizer, tmp_path, conditioning):
    evaluation = evaluate.of_voice(
        voice(conditioning=conditioning), material, recognizer, tmp_path, 0, baseline=voice(1)
    )
    report = report_of(evaluation, tmp_path)
    assert list(report["splits"]) == list(SPLITS)
    for split, systems in report["splits"].items():
        assert set(systems) == {"voice", "ground_truth", "baseline"}
        assert all(metrics["texts"] == 5 for metrics in systems.values())
        assert systems["voice"]["digits"] == systems["ground_truth"]["digits"]
        assert systems["ground_truth"]["duration_ratio"] == 1
        # An untrained model knows next to nothing: about 8 bits a sample.
        if split == "digits100":
            assert systems["voice"]["nll_bits"] is None
        else:
            assert 6 < systems["voice"]["nll_bits"] < 10
        assert systems["ground_truth"]["joins"] == systems["ground_truth"]["digits"] - 5
        if conditioning == "pointer":
            assert systems["voice"]["joins"] == systems["ground_truth"]["joins"]
        assert systems["ground_truth"]["nll_bits"] is None
    lines = [json.loads(line) for line in (tmp_path / "utterances.jsonl").read_text().splitlines()]
    assert len(lines) == 3 * 5 * len(SPLITS)
    spoken = [line for line in lines if line["system"] == "voice"]
    wave, rate = soundfile.read(tmp_path / spoken[0]["path"])
    assert (rate, len(wave) / rate) == (8000, spoken[0]["sound"]["seconds"])
    for line in spoken:  # without a pointer, only where there is one word, or the cap came
        known = conditioning == "pointer" or len(line["digits"]) == 1 or line["stop_reason"] == "cap"
        assert (line["last_segment_seconds"] is not None) == known
    assert not list(tmp_path.glob("part-*"))
    assert set(report["quality"]) == {"voice", "ground_truth", "baseline"}
    for metrics in report["quality"].values():
        assert metrics["fid"] >= 0 and 1 <= metrics["is"] <= 10 and metrics["mis"] >= 1 and metrics["am"] >= 0
    assert report["quality"]["ground_truth"]["fid"] < report["quality"]["voice"]["fid"]


class Interrupted:
    """The recognizer, which stops the run at the n-th block."""

    def __init__(self, recognizer, blocks):
        self.recognizer, self.left, self.net = recognizer, blocks, recognizer.net
        self.features, self.digit_probabilities = recognizer.features, recognizer.digit_probabilities

    def recognize(self, *args):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.recognizer.recognize(*args)


def test_a_stopped_run_goes_on_and_ends_the_same(material, recognizer, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "BLOCK", 2)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    report = report_of(evaluate.of_voice(voice(), material, recognizer, whole, 0), whole)
    stopped = evaluate.of_voice(voice(), material, Interrupted(recognizer, 5), resumed, 0)
    with pytest.raises(KeyboardInterrupt):
        evaluate.run(stopped, resumed)
    part = resumed / "part-00000.jsonl"
    assert len(part.read_text().splitlines()) == 9  # blocks of 2, 2, 1, and 2, 2
    part.write_text(part.read_text() + '{"split": "test_se')  # killed while it wrote
    again = Interrupted(recognizer, 10**9)
    assert report_of(evaluate.of_voice(voice(), material, again, resumed, 0), resumed) == report
    assert 10**9 - again.left == 2 * 3 * len(SPLITS) - 5
    assert (resumed / "utterances.jsonl").read_bytes() == (whole / "utterances.jsonl").read_bytes()


def test_another_run_is_not_mixed_in(material, recognizer, tmp_path):
    stopped = evaluate.of_voice(voice(), material, Interrupted(recognizer, 1), tmp_path, 0)
    with pytest.raises(KeyboardInterrupt):
        evaluate.run(stopped, tmp_path)
    other = evaluate.of_voice(voice(2), material, recognizer, tmp_path, 1)
    with pytest.raises(InputError, match=r"other settings \(seed, voice\)"):
        evaluate.run(other, tmp_path)
    evaluate.finish(tmp_path, *evaluate.run(other, tmp_path, force=True))
    with pytest.raises(InputError, match="finished"):
        evaluate.run(other, tmp_path)


def test_an_output_folder_with_something_else_is_left_alone(material, recognizer, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    evaluation = evaluate.of_voice(voice(), material, recognizer, tmp_path, 0)
    for force in (False, True):
        with pytest.raises(InputError, match="something else"):
            evaluate.run(evaluation, tmp_path, force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        evaluate.run(evaluation, tmp_path / "thesis.txt")


TWO_PROCESSES = """
import sys
from pathlib import Path
import torch
from accelerate import debug_launcher
from test_evaluate import voice
from tts.evaluation import running as evaluate
from tts.evaluation.test_sets import from_source
from tts.recognition.model import Recognizer, RecognizerConfig, RecognizerNet

def work():
    torch.set_num_threads(1)
    corpus, out = map(Path, sys.argv[1:])
    material = from_source(corpus, ["test_seen", "long"], 5, 3, ["theo", "nobody"], 8000)
    torch.manual_seed(1)
    recognizer = Recognizer(RecognizerNet(RecognizerConfig(channels=16, width=8)), {})
    evaluate.BLOCK = 2
    processes = evaluate.Processes.launched()
    assert processes.world == 2
    judged = evaluate.run(evaluate.of_voice(voice(), material, recognizer, out, 0), out, processes=processes)
    assert (judged is None) == (processes.rank == 1)
    if judged:
        assert sum(1 for _ in out.glob("part-*.jsonl")) == 2
        evaluate.finish(out, *judged)

debug_launcher(work, num_processes=2)
"""


@pytest.mark.slow
def test_two_processes_give_the_same(corpus, recognizer, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "BLOCK", 2)
    one, two = tmp_path / "one", tmp_path / "two"
    material = from_source(corpus, ["test_seen", "long"], 5, 3, ["theo", "nobody"], 8000)
    report_of(evaluate.of_voice(voice(), material, recognizer, one, 0), one)
    tests = Path(__file__).parent
    subprocess.run([sys.executable, "-c", TWO_PROCESSES, str(corpus), str(two)], cwd=tests, check=True, timeout=300)
    for name in ("report.json", "utterances.jsonl"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


# Likelihood


def test_likelihood_by_hand(material):
    model = TwoTier(MODEL)
    with torch.no_grad():
        for layer in (model.output, model.advance):
            layer.weight.zero_()
            layer.bias.zero_()
        model.advance.bias.fill_(-4.0)
    flat = Voice.from_model(
        model, speakers=("theo", "nobody"), sample_rate=8000, text_encoder=TextEncoderConfig(), word_vectors=VECTORS
    )
    sequence = next(item for item in material.splits["test_seen"] if len(item.digits) == 2)
    likelihood = LikelihoodScorer(flat)(sequence)
    assert likelihood.samples == len(sequence.audio)
    # Every level alike: log2(256) bits.
    assert likelihood.sample_nats / likelihood.samples == pytest.approx(8 * math.log(2), rel=1e-5)
    go, stay = math.log1p(math.exp(4.0)), math.log1p(math.exp(-4.0))
    frames = math.ceil(len(sequence.audio) / 32)
    assert likelihood.segments == 2
    assert likelihood.advance_nats == pytest.approx(2 * go + (frames - 2) * stay, rel=1e-4)
    first = round(sequence.boundaries[0] / 32)
    # Frames that end more than 50 ms, 12.5 frames, before the turn does.
    early = sum(1 - math.exp(-stay * max(0, segment - 13)) for segment in (first, frames - first))
    assert likelihood.early == pytest.approx(early, rel=1e-4)
    segments = (first, frames - first)
    leave = 1 - math.exp(-stay)
    lead = sum(math.exp(-stay * k) * leave * (n - 1 - k) * 32 / 8000 for n in segments for k in range(n))
    assert likelihood.lead_seconds == pytest.approx(lead, rel=1e-3)
    assert likelihood.late == pytest.approx(sum(math.exp(-stay * n) for n in segments), rel=1e-4)


# Manifests


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "wav"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.flac"):
        soundfile.write(folder / name, rng.normal(0, 0.1, 4000), 16000)
    return folder


def test_files_of_any_system(files, recognizer, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,text,speaker\na.wav,4 7,ann\nb.flac,nine,\n")
    rows = evaluate.read_manifest(manifest, files)
    assert [(row.text, row.speaker) for row in rows] == [("4 7", "ann"), ("nine", "unknown")]
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"path": "a.wav", "text": "4 7", "speaker": "ann"}\n\n{"path": "b.flac", "text": "nine"}\n')
    assert evaluate.read_manifest(lines, files) == rows
    report = report_of(evaluate.of_files(rows, [], None, recognizer), tmp_path / "out")
    metrics = report["splits"]["files"]["voice"]
    assert (metrics["texts"], metrics["digits"], metrics["over_run"]) == (2, 3, 0)
    assert set(metrics["by_speaker"]) == {"ann", "unknown"}
    assert "no floor" in report["notes"][0]


def test_files_of_single_digits_stand_beside_the_split(files, material, recognizer, tmp_path):
    rng = np.random.default_rng(1)
    soundfile.write(files / "c.wav", rng.normal(0, 0.1, 4000), 8000)  # another sample rate
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,text,speaker\na.wav,4,ann\nb.flac,nine,bob\nc.wav,3,ann\n")
    rows = evaluate.read_manifest(manifest, files)
    real = material.splits["single"][:3]
    out = tmp_path / "out"
    judged = evaluate.run(evaluate.of_files(rows, real, material.limits, recognizer, material.reference), out)
    quality = judged[0]["quality"]
    assert set(quality) == {"voice", "ground_truth"}
    assert 0 <= quality["ground_truth"]["fid"] < quality["voice"]["fid"]
    tables = {table.title: table for table in make_tables(judged[0])}
    assert [row[0] for row in tables["Quality and variety of single digits"].rows] == ["voice", "ground_truth"]
    # Speakers of both systems, though they are not the same ones.
    assert [row[1] for row in tables["By speaker"].rows] == ["ann", "bob", "theo"]
    one = evaluate.of_files(rows[:1], real[:1], material.limits, recognizer, material.reference)
    assert one.quality is None  # no set to compare


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no rows"),
        ("path,text\n", "no rows"),
        ("file,text\na.wav,4\n", "row 1: has no path"),
        ("path,text\na.wav,\n", "row 1: has no text"),
        ("path,text\na.wav,4\nb.flac,hello\n", "row 2: the voice cannot say"),
        ("path,text\nmissing.wav,4\n", "no audio file at"),
        ("path,text\nempty.wav,4\n", "is empty"),
        ("path,text\nnotes.wav,4\n", "not readable as audio"),
        ("path,text\nsilent.wav,4\n", "no samples"),
    ],
)
def test_bad_manifests(files, tmp_path, content, message):
    (files / "empty.wav").touch()
    (files / "notes.wav").write_text("no audio")
    soundfile.write(files / "silent.wav", np.zeros(0), 8000)
    manifest = tmp_path / "m.csv"
    manifest.write_text(content)
    with pytest.raises(InputError, match=message):
        evaluate.read_manifest(manifest, files)


def test_bad_json_lines(files, tmp_path):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("[1]\n")
    with pytest.raises(InputError, match="row 1: is no JSON object"):
        evaluate.read_manifest(manifest, files)
    with pytest.raises(InputError, match="cannot be read"):
        evaluate.read_manifest(tmp_path / "absent.csv", files)
    with pytest.raises(InputError, match="no such folder"):
        evaluate.read_manifest(manifest, tmp_path / "absent")


# Bad input


@pytest.mark.parametrize(
    ("splits", "count", "speakers", "message"),
    [
        (["test_sen"], 5, ["theo"], "unknown"),
        ([], 5, ["theo"], "no split"),
        (["long", "long"], 5, ["theo"], "each once"),
        (["repeat"], 3001, ["theo"], "--n 3001: split repeat has 3000"),
        (["test_seen"], 5, ["anna"], "anna"),
    ],
)
def test_bad_material_of_a_corpus(corpus, splits, count, speakers, message):
    with pytest.raises(InputError, match=message):
        from_source(corpus, splits, count, 0, speakers, 8000)


def test_a_split_that_short_texts_do_not_have(corpus):
    with pytest.raises(InputError, match=r"repeat has 0 combinations of 1 to 2 digits; .*leave the split out"):
        from_source(corpus, ["repeat"], 1, 0, ["theo"], 8000, max_digits=2)


def test_bad_datasets(dataset, tmp_path):
    with pytest.raises(InputError, match="16000"):
        from_dataset(dataset, ["test_seen"], 2, 0, ["theo"], 16000)
    with pytest.raises(InputError, match="has 12 rows by theo; ask for at most 12"):
        from_dataset(dataset, ["test_unseen"], 13, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="no such folder"):
        from_dataset(tmp_path / "absent", ["test_seen"], 2, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="is not a dataset"):
        from_dataset(tmp_path, ["test_seen"], 2, 0, ["theo"], 8000)
    with pytest.raises(InputError, match="speaks as anna"):
        from_dataset(dataset, ["test_seen"], 2, 0, ["anna"], 8000)
    check_splits(SPLITS)
    assert shared_speakers(["b", "a", "c"], ["a", "b"]) == ("b", "a")


def test_a_baseline_must_fit(material, recognizer, tmp_path):
    with pytest.raises(InputError, match="does not speak as theo"):
        evaluate.of_voice(voice(), material, recognizer, tmp_path, 0, voice(speakers=("a", "b")))
    with pytest.raises(InputError, match="16000 Hz"):
        evaluate.of_voice(voice(), material, recognizer, tmp_path, 0, voice(sample_rate=16000))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n", "0"], "--n is 0"),
        (["--n", "1", "--splits", "single"], "--n is 1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--max-digits", "6"], "--max-digits is 6"),
        (["--wav-dir", "x"], "belong together"),
        (["--wav-dir", "x", "--manifest", "y", "--voice", "z"], "leave --voice"),
        (["--data", "x", "--source", "y"], "give one of them"),
        (["--recognizer", "/nowhere"], "no recognizer there"),
        (["--voice", "/nowhere"], "no voice"),
    ],
)
def test_bad_flags(flags, message, tmp_path):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    with pytest.raises(InputError, match=message):
        cli.run(parser.parse_args([*flags, "--out", str(tmp_path / "out")]))


def test_the_command(corpus, recognizer, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Recognizer, "load", lambda folder=None: recognizer)
    voice().save(tmp_path / "voice", "# A voice")
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    flags = ["--voice", str(tmp_path / "voice"), "--source", str(corpus), "--splits", "test_seen, words", "--n", "3"]
    assert cli.run(parser.parse_args([*flags, "--out", str(tmp_path / "out")])) == 0
    assert capsys.readouterr().out.count("digit error") == 4
    assert (tmp_path / "out" / "report.json").is_file()
