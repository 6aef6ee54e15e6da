"""`scripts/release_voice.py`: what ships says where it comes from, and nothing of the machine that trained it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import release_voice
import yaml
from helpers.voices import SMALL, make_voice

from tts import load_voice
from tts.core.sampling import Sampling


@pytest.fixture
def run(tmp_path):
    places = {"source": "/home/someone/fsdd", "self_training": "/home/someone/recordings"}
    config = {
        "output": "/home/someone/run",
        "data": {**places, "sequences": {"max_digits": 3}},
        "train": {"start_from": "/home/someone/last.pt", "steps": 1500},
    }
    of_units = replace(SMALL, units_per_word=4, duration="explicit")
    voice = make_voice(license="", training={"step": 1500, "config": config}, config=of_units)
    voice.save(tmp_path / "run", "")
    return tmp_path / "run"


def release(monkeypatch, *arguments):
    flags = ["--command", "tts train x.yaml", "--hardware", "a laptop", "--minutes", "5", "--commit", "abc1234"]
    monkeypatch.setattr(sys, "argv", ["release_voice.py", *map(str, arguments), *flags])
    assert release_voice.main() == 0


def test_release(run, tmp_path, monkeypatch):
    metrics = {"texts": 9, "digit_error": 0.05, "digit_error_95": [0.01, 0.1], "exact": 0.9, "cap": 0.0}
    ground_truth = {**metrics, "digit_error": 0.01}
    by_speaker = {"ann": {"digits": 30, "digit_error": 0.1}, "bob": {"digits": 10, "digit_error": 0.0}}
    seen, unseen = (
        {
            "voice": {**metrics, "by_speaker": {**by_speaker, "ann": {"digits": digits, "digit_error": 0.1}}},
            "ground_truth": {**ground_truth, "by_speaker": by_speaker},
        }
        for digits in (10, 30)
    )
    unseen["voice"]["by_speaker"]["ann"]["digit_error"] = 0.2
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"unit": "digit", "splits": {"test_seen": seen, "test_unseen": unseen}}))
    flags = ["--duration-spread", 0.25, "--nucleus-temperature", 0.7, "--comb-filter", 1]
    flags += ["--default-speaker", "bob", "--report", report]
    release(monkeypatch, run, tmp_path / "nine", *flags)
    voice = load_voice(tmp_path / "nine")
    assert voice.name == "nine"
    assert voice.config.license == "CC BY-SA 4.0"
    assert voice.config.sampling == Sampling(1.0, 0.25, 0.7, 1.0)
    assert voice.config.default_speaker == "bob"
    assert voice.config.training["commit"] == "abc1234"
    assert len(voice.config.training["data_sha256"]) == 64
    said = voice.speak("4", "ann", duration_spread=1.0, nucleus_temperature=1).codes
    assert np.array_equal(said, load_voice(run).speak("4", "ann").codes)
    card = (tmp_path / "nine" / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "cc-by-sa-4.0"
    prose = " ".join(body.split())
    assert "1,500 steps in 5 minutes on a laptop" in prose
    assert voice.config.training["data_sha256"] in prose
    assert (
        "temperature 1, nucleus_temperature 0.7 (times that, in the vowels), comb_filter 1, duration_spread 0.25"
        in prose
    )
    assert "| combinations that training never has (9) | 5.0 (1.0-10.0) | 1.0 (1.0-10.0) | 90.0 | 0.0 |" in body
    assert "| ann | 17.5 | 10.0 |\n| bob | 0.0 | 0.0 |" in body
    assert "as ann and bob said them (by default bob)" in prose
    assert all(len(line) <= 120 for line in body.splitlines() if not line.startswith("|"))
    for path in (tmp_path / "nine").glob("*.*"):
        assert b"/home/someone" not in path.read_bytes()


def test_a_card_of_words_has_what_judges_say_of_words(run, tmp_path, monkeypatch):
    judged = {"whisper, free": {"value": 0.25, "value_95": [0.1, 0.4], "by_speaker": {}}}
    report = tmp_path / "report.json"
    systems = {name: {"texts": 9, "word_error": 0.5, "judges": judged} for name in ("voice", "ground_truth")}
    report.write_text(json.dumps({"unit": "word", "splits": {"cardinal": systems}}))
    release(monkeypatch, run, tmp_path / "nine", "--report", report)
    assert "| cardinal | whisper, free | 25.0 (10.0-40.0) |" in (tmp_path / "nine" / "README.md").read_text()


def test_each_corpus_has_its_own_license(run, tmp_path, monkeypatch):
    voice = load_voice(run)
    voice.config.training["config"]["data"]["corpus"] = "prompts"
    voice.save(tmp_path / "prompts", "")
    release(monkeypatch, tmp_path / "prompts", tmp_path / "numbers")
    made = load_voice(tmp_path / "numbers")
    assert made.config.license == "CC BY-SA 3.0"
    assert "data_sha256" not in made.config.training
    card = (tmp_path / "numbers" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n", 2)[1])["license"] == "cc-by-sa-3.0"
    assert "Allison Smith" in card
    assert "Zohar Jackson" not in card


def test_a_corpus_that_no_card_knows_is_refused(run, tmp_path, monkeypatch, capsys):
    voice = load_voice(run)
    voice.config.training["config"]["data"]["corpus"] = "espeak"
    voice.save(tmp_path / "espeak", "")
    flags = ["--command", "x", "--hardware", "x", "--minutes", "5", "--commit", "x"]
    monkeypatch.setattr(sys, "argv", ["release_voice.py", str(tmp_path / "espeak"), str(tmp_path / "new"), *flags])
    assert release_voice.main() == 2
    assert "espeak" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
