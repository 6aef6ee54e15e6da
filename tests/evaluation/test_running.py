"""Evaluation from end to end: systems, resuming, sharing among processes, bad input. Nothing is trained."""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.untrained_voice import voice

from tts.cli import evaluate as cli
from tts.core.errors import InputError
from tts.evaluation import running
from tts.evaluation.manifest import read_manifest
from tts.evaluation.report import make_tables
from tts.evaluation.systems import of_files, of_voice
from tts.evaluation.test_sets import FILES, SPLITS_OF, for_texts, from_source
from tts.recognition.model import Recognizer


def report_of(evaluation, out, **options):
    judged = running.run(evaluation, out, **options)
    running.finish(out, *judged)
    return json.loads((out / "report.json").read_text())


@pytest.mark.parametrize("conditioning", ["pointer", "pooled"])
def test_everything_is_judged(material, recognizer, tmp_path, conditioning):
    evaluation = of_voice(voice(conditioning=conditioning), material, recognizer, tmp_path, 0, baseline=voice(1))
    report = report_of(evaluation, tmp_path)
    assert list(report["splits"]) == list(SPLITS_OF["digit"])
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
    assert len(lines) == 3 * 5 * len(SPLITS_OF["digit"])
    spoken = [line for line in lines if line["system"] == "voice"]
    wave, rate = soundfile.read(tmp_path / spoken[0]["path"])
    assert (rate, len(wave) / rate) == (8000, spoken[0]["sound"]["seconds"])
    for line in spoken:  # without a pointer, only where there is one word, or the cap came
        known = conditioning == "pointer" or len(line["words"]) == 1 or line["stop_reason"] == "cap"
        assert (line["last_segment_seconds"] is not None) == known
    assert not list(tmp_path.glob("part-*"))
    assert set(report["quality"]) == {"voice", "ground_truth", "baseline"}
    for metrics in report["quality"].values():
        assert metrics["fid"] >= 0 and 1 <= metrics["is"] <= 10 and metrics["mis"] >= 1 and metrics["am"] >= 0
    assert report["quality"]["ground_truth"]["fid"] < report["quality"]["voice"]["fid"]


class Interrupted:
    """The recognizer, which stops the run after n texts."""

    def __init__(self, recognizer, texts):
        self.recognizer, self.left, self.net = recognizer, texts, recognizer.net
        self.features, self.digit_probabilities = recognizer.features, recognizer.digit_probabilities

    def recognize(self, *args):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.recognizer.recognize(*args)


def test_an_interrupted_run_is_resumed_and_ends_the_same(material, recognizer, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "BLOCK", 2)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    report = report_of(of_voice(voice(), material, recognizer, whole, 0), whole)
    interrupted = of_voice(voice(), material, Interrupted(recognizer, 9), resumed, 0)
    with pytest.raises(KeyboardInterrupt):
        running.run(interrupted, resumed)
    part = resumed / "part-00000.jsonl"
    assert len(part.read_text().splitlines()) == 9  # blocks of 2, 2, 1, and 2, 2
    part.write_text(part.read_text() + '{"split": "test_se')  # killed while it wrote
    again = Interrupted(recognizer, 10**9)
    assert report_of(of_voice(voice(), material, again, resumed, 0), resumed) == report
    assert 10**9 - again.left == 2 * 5 * len(SPLITS_OF["digit"]) - 9
    assert (resumed / "utterances.jsonl").read_bytes() == (whole / "utterances.jsonl").read_bytes()


def test_another_run_is_not_mixed_in(material, recognizer, tmp_path):
    interrupted = of_voice(voice(), material, Interrupted(recognizer, 5), tmp_path, 0)
    with pytest.raises(KeyboardInterrupt):
        running.run(interrupted, tmp_path)
    other = of_voice(voice(2), material, recognizer, tmp_path, 1)
    with pytest.raises(InputError, match=r"other settings \(seed, voice\)"):
        running.run(other, tmp_path)
    running.finish(tmp_path, *running.run(other, tmp_path, force=True))
    with pytest.raises(InputError, match="finished"):
        running.run(other, tmp_path)


def test_an_output_folder_with_something_else_is_left_alone(material, recognizer, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    evaluation = of_voice(voice(), material, recognizer, tmp_path, 0)
    for force in (False, True):
        with pytest.raises(InputError, match="something else"):
            running.run(evaluation, tmp_path, force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        running.run(evaluation, tmp_path / "thesis.txt")


TWO_PROCESSES = """
import sys
from pathlib import Path
sys.path.append(".")  # the tests, for their helpers
import torch
from accelerate import debug_launcher
from helpers.untrained_voice import voice
from tts.evaluation import running
from tts.evaluation.systems import of_voice
from tts.evaluation.test_sets import from_source
from tts.recognition.model import Recognizer, RecognizerConfig, RecognizerNet
from tts.training.precision import accelerate_state

def work():
    torch.set_num_threads(1)
    corpus, out = map(Path, sys.argv[1:])
    material = from_source(corpus, ["test_seen", "long"], 5, 3, ["theo", "nobody"], 8000)
    torch.manual_seed(1)
    recognizer = Recognizer(RecognizerNet(RecognizerConfig(channels=16, width=8)), {})
    running.BLOCK = 2
    processes = accelerate_state()
    assert processes.num_processes == 2
    judged = running.run(of_voice(voice(), material, recognizer, out, 0), out)
    assert (judged is None) == (processes.process_index == 1)
    if judged:
        assert sum(1 for _ in out.glob("part-*.jsonl")) == 2
        running.finish(out, *judged)

debug_launcher(work, num_processes=2)
"""


@pytest.mark.slow
def test_two_processes_give_the_same(corpus, recognizer, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "BLOCK", 2)
    one, two = tmp_path / "one", tmp_path / "two"
    material = from_source(corpus, ["test_seen", "long"], 5, 3, ["theo", "nobody"], 8000)
    report_of(of_voice(voice(), material, recognizer, one, 0), one)
    tests = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", TWO_PROCESSES, str(corpus), str(two)], cwd=tests, check=True, timeout=300)
    for name in ("report.json", "utterances.jsonl"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


# Files of any system


def test_files_of_any_system(files, recognizer, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,text,speaker\na.wav,4 7,ann\nb.flac,nine,\n")
    rows = read_manifest(manifest, files)
    assert [(row.text, row.speaker) for row in rows] == [("4 7", "ann"), ("nine", "unknown")]
    lines = tmp_path / "m.jsonl"
    lines.write_text('{"path": "a.wav", "text": "4 7", "speaker": "ann"}\n\n{"path": "b.flac", "text": "nine"}\n')
    assert read_manifest(lines, files) == rows
    report = report_of(of_files(rows, for_texts([row.text for row in rows], None, 0), recognizer), tmp_path / "out")
    metrics = report["splits"]["files"]["voice"]
    assert (metrics["texts"], metrics["digits"], metrics["over_run"]) == (2, 3, 0)
    assert set(metrics["by_speaker"]) == {"ann", "unknown"}
    assert "no ground truth" in report["notes"][0]


def test_files_of_single_digits_stand_beside_the_split(files, material, recognizer, tmp_path):
    rng = np.random.default_rng(1)
    soundfile.write(files / "c.wav", rng.normal(0, 0.1, 4000), 8000)  # another sample rate
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,text,speaker\na.wav,4,ann\nb.flac,nine,bob\nc.wav,3,ann\n")
    rows = read_manifest(manifest, files)
    real = replace(material, splits={FILES: material.splits["single"][:3]})
    judged = running.run(of_files(rows, real, recognizer), tmp_path / "out")
    quality = judged[0]["quality"]
    assert set(quality) == {"voice", "ground_truth"}
    assert 0 <= quality["ground_truth"]["fid"] < quality["voice"]["fid"]
    tables = {table.title: table for table in make_tables(judged[0])}
    assert [row[0] for row in tables["Quality and variety of single digits"].rows] == ["voice", "ground_truth"]
    # Speakers of both systems, though they are not the same ones.
    assert [row[1] for row in tables["By speaker"].rows] == ["ann", "bob", "theo"]
    one = replace(material, splits={FILES: material.splits["single"][:1]})
    assert of_files(rows[:1], one, recognizer).quality is None  # no set to compare


# Bad input


def test_a_baseline_must_fit(material, recognizer, tmp_path):
    with pytest.raises(InputError, match="does not speak as theo"):
        of_voice(voice(), material, recognizer, tmp_path, 0, voice(speakers=("a", "b")))
    with pytest.raises(InputError, match="16000 Hz"):
        of_voice(voice(), material, recognizer, tmp_path, 0, voice(sample_rate=16000))


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
