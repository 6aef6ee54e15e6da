"""The comparison's command from end to end on a miniature corpus: two steps, a text a split."""

import json

import pytest
from compare_conditioning import COLUMNS, FIRST, any_order, main
from helpers.miniature_fsdd import write_corpus
from helpers.train_command import SMALL

from tts.evaluation import trainings
from tts.evaluation.trainings import effort
from tts.evaluation.utterance import Sound, Utterance

BRIEF = ["train.steps=2", "train.batch_size=1", "train.precision=fp32", "validation.sequences=1", "validation.spoken=0"]


@pytest.mark.slow
def test_trains_judges_and_writes_once(tmp_path, monkeypatch, capsys):
    corpus = write_corpus(tmp_path / "corpus")
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\nmodel: {duration: implicit, units_per_word: 1}\ntrain: {pause_corruption: 0}\n")
    out = tmp_path / "out"
    command = [str(config), f"data.source={corpus}", *SMALL, *BRIEF, "--out", str(out), "--n", "2"]
    assert main([*command, "--only", "pooled-text"]) == 0
    steps = json.loads((out / "comparison.json").read_text())
    rows = steps["strings"]
    assert steps["single digits"] == {}
    assert list(rows) == ["pooled-text", "ground_truth"]
    assert rows["pooled-text"]["effort"]["steps"] == 2
    assert all(list(row["metrics"]) == list(COLUMNS) for row in rows.values())
    document = (out / "comparison.md").read_text()
    assert document.count("| pooled, text |") == 4
    assert document.count("| ground truth |") == 3
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    resolved = (out / "pooled-text" / "config.yaml").read_text()
    assert "conditioning: pooled" in resolved
    assert "context: text" in resolved
    # What is done is not done again, and gives the same.
    monkeypatch.setattr(trainings.running, "run", None)
    assert main([*command, "--only", "pooled-text"]) == 0
    assert json.loads((out / "comparison.json").read_text()) == steps
    # Nor is it taken for something else.
    assert main([*command, "--only", "pooled-text", "--seed", "1"]) == 2
    assert "is an evaluation with other settings" in capsys.readouterr().err


def test_single_digits_are_the_first_step(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    out = tmp_path / "out"
    assert (
        main([str(config), f"data.source={corpus}", *SMALL, *BRIEF, "--out", str(out), "--n", "2", "--only", FIRST])
        == 0
    )
    steps = json.loads((out / "comparison.json").read_text())
    assert list(steps["single digits"]) == [FIRST, "ground_truth"]
    assert list(steps["single digits"][FIRST]["metrics"]) == ["one digit"]
    assert steps["strings"] == {}
    assert "max_digits: 1" in (out / FIRST / "config.yaml").read_text()
    assert (out / "comparison.md").read_text().count("| singles |") == 2
    assert not (out / "comparison.png").exists()


def test_effort_adds_up_the_log(tmp_path):
    rows = [
        {"step": 20, "train/steps_per_second": 2.0, "train/samples_per_second": 8000.0},
        {"step": 30, "train/steps_per_second": 0.5, "train/samples_per_second": 4000.0},
        {"step": 30, "validation/nll_bits": 3.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert effort(tmp_path / "metrics.jsonl") == {"steps": 30, "minutes": 0.5, "samples": 160_000.0}


def test_any_order_counts_each_digit_as_often_as_it_is_said():
    sound = Sound(1.0, 0.1, -40.0, 0.1, 0.0, 0.0, -20.0, -60.0, 0)
    pairs = [([4, 7], [7, 4]), ([4, 7], [4, 7]), ([4, 4], [4]), ([4, 7], [4, 4])]
    spoken = [
        Utterance("test_seen", i, "voice", "", [*map(str, said)], "theo", [*map(str, recognized)], sound)
        for i, (said, recognized) in enumerate(pairs)
    ]
    assert any_order(spoken) == 0.5
