"""Experiments are read, checked, run, resumed and reported; the loop keeps its budget and repeats no number."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from helpers.launch import in_two_processes

from tts import audio
from tts.cli.main import main
from tts.core.errors import InputError
from tts.lab.experiment import Budget, Run, merged, read_results
from tts.lab.loop import draws, fit, read_curve
from tts.lab.report import public_command


def lab(*arguments):
    AcceleratorState._reset_state(True)
    return main(["lab", *map(str, arguments)])


def line(folder, steps=None, minutes=None, broken=None, log_gradients=False):
    """Fit a line; `broken` is a step at which the run is interrupted."""
    torch.manual_seed(0)
    run = Run(Path(folder), Budget(minutes, steps), log_gradients=log_gradients)
    run.folder.mkdir(parents=True, exist_ok=True)
    model = torch.nn.Linear(1, 1)

    def loss(model, step):
        if step == broken:
            raise KeyboardInterrupt
        x = torch.from_numpy(draws(run, step).standard_normal((8, 1), "float32"))
        return (model(x) - 2 * x).square().mean()

    return fit(model, loss, torch.optim.Adam(model.parameters(), 0.1), run, lambda m: {"w": float(m.weight)}), model


def test_run_and_report(toy, capsys):
    assert lab("list") == 0
    assert "line" in capsys.readouterr().out
    assert lab("run", "line", "--steps", 40, "lr=0.3", "--seed", 3) == 0
    first, second = read_results(toy / "runs" / "lab" / "line")
    assert (first.run, first.steps, first.seed, first.settings["lr"]) == ("plain", 40, 3, 0.3)
    assert second.settings == {"lr": 0.3, "line": {"slope": 3, "shift": 1.0}}
    assert first.results["slope"] == pytest.approx(3, abs=0.5)
    assert lab("report") == 0
    page = (toy / "docs" / "results" / "lab.md").read_text()
    for part in ("| run | slope | steps |", "| plain |", "The notes found 2.", "It is found.", "(lab/line.png)",
                 "(rows: plain; shifted)", first.machine["machine"]["processor"]):  # fmt: skip
        assert part in page
    assert (toy / "docs" / "results" / "lab" / "line.png").read_bytes() == b"picture of plain, shifted"


def test_what_is_done_is_not_done_again(toy):
    lines = toy / "runs" / "lab" / "line" / "results.jsonl"
    assert lab("run", "all", "--steps", 12) == lab("run", "all", "--steps", 12) == 0
    assert len(lines.read_text().splitlines()) == 2
    assert lab("run", "line", "--steps", 24) == 0  # a larger budget resumes
    assert [result.steps for result in read_results(lines.parent)] == [24, 24]
    assert [point.step for point in read_curve(lines.parent / "plain")] == [1, 6, 10, 12, 20, 24]


def test_a_line_that_was_cut_off_hides_no_later_one(toy):
    lines = toy / "runs" / "lab" / "line" / "results.jsonl"
    assert lab("run", "line", "--steps", 2) == 0
    text = lines.read_text()
    lines.write_text(text[: len(text) - 40])
    assert [result.run for result in read_results(lines.parent)] == ["plain"]
    assert lab("run", "line", "--steps", 2) == 0
    assert [result.run for result in read_results(lines.parent)] == ["plain", "shifted"]


def test_gradients_are_drawn_where_they_were_logged(toy):
    page, picture = (toy / "docs" / "results" / place for place in ("lab.md", "lab/line-gradients.png"))
    assert lab("run", "line", "--steps", 4) == lab("report") == 0
    assert not picture.exists()
    assert lab("run", "line", "--steps", 8, "--log-gradients") == lab("report") == 0
    assert "(lab/line-gradients.png)" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_large_experiments_are_run_by_their_name_alone(toy, capsys):
    large = toy / "configs" / "lab" / "large"
    large.mkdir()
    (large / "vast.yaml").write_text((large.parent / "line.yaml").read_text())
    assert lab("list") == lab("run", "all", "--steps", 2) == 0
    assert "vast" in capsys.readouterr().out
    assert not (toy / "runs" / "lab" / "vast").exists()
    assert lab("run", "vast", "--steps", 2) == lab("report") == 0
    assert "## vast" in (toy / "docs" / "results" / "lab.md").read_text()


def test_other_settings_do_not_mix(toy, capsys):
    assert lab("run", "line", "--steps", 2) == 0
    assert lab("run", "line", "--steps", 2, "lr=0.5") == 1
    assert "holds a run of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "lin"], "there is no experiment 'lin'"),
        (["run", "line", "rate=1"], "unknown config key rate"),
        (["run", "line", "--steps", "0"], "--steps is 0"),
        (["run", "line", "--minutes", "nan"], "--minutes is nan"),
        (["run", "line", "--seed", "-1"], "--seed is -1"),
        (["report", "--out", "nothing"], "holds no results"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusals(toy, capsys, arguments, message):
    assert lab(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (toy / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: toy", "kind: nothing", "has no module tts/lab/nothing.py"),
        ("kind: toy", "kind: report", "has no module tts/lab/report.py with Settings"),
        ("plain: {}", "Plain: {}", "a run's name has small letters"),
        ("plain: {}", "plain: 3", "must be a section"),
        ("columns:", "colums:", "did you mean columns?"),
        ("settings: {line: {slope: 3}}", "settings: {line: {slop: 3}}", "did you mean line.slope?"),
    ],
)
def test_wrong_experiments(toy, capsys, old, new, message):
    path = toy / "configs" / "lab" / "line.yaml"
    path.write_text(path.read_text().replace(old, new))
    assert lab("run", "line", "--steps", 2) == 2
    assert message in capsys.readouterr().err


def test_a_kind_that_needs_recordings_says_so(toy, capsys):
    kind = toy / "kinds" / "toy.py"
    kind.with_name("needy.py").write_text(
        kind.read_text().replace("lr: float", "source: str | None = None\n    lr: float")
    )
    path = toy / "configs" / "lab" / "needy.yaml"
    path.write_text((path.parent / "line.yaml").read_text().replace("toy", "needy"))
    assert lab("run", "all", "--steps", 2) == 2
    assert "experiment needy needs recordings; give source=FOLDER" in capsys.readouterr().err
    assert lab("run", "all", "--steps", 2, "source=x") == 0  # the kind `toy` has no such setting


def picky(toy):
    """The experiment `picky`, of a kind with a `source` in which no run can read a file if its `lr` is 9."""
    code = (toy / "kinds" / "toy.py").read_text().replace("lr: float", "source: Path | None = None\n    lr: float")
    code = code.replace(
        "import torch", "from pathlib import Path\n\nimport torch\n\nfrom tts.core.errors import InputError", 1
    )
    code = code.replace(
        "    model = ", "    if settings.lr == 9:\n        raise InputError('x.wav: no audio')\n    model = ", 1
    )
    (toy / "kinds" / "picky.py").write_text(code)
    config = toy / "configs" / "lab" / "line.yaml"
    config.with_name("picky.yaml").write_text(
        config.read_text().replace("kind: toy", "kind: picky").replace(", lr: 0.2", "")
    )


def test_a_folder_that_is_missing_is_refused_before_anything_is_run(toy, capsys):
    picky(toy)
    assert lab("run", "picky", "--steps", 2, "source=none") == 2
    assert capsys.readouterr().err == "tts: error: source=none: there is no such folder; give one with recordings\n"
    assert not (toy / "runs").exists()


def test_what_every_run_refuses_is_one_error(toy, capsys):
    picky(toy)
    assert lab("run", "picky", "--steps", 2, "lr=9", "source=kinds") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "tts: error: x.wav: no audio"
    assert lab("run", "all", "--steps", 2, "lr=9", "source=kinds") == 1  # the experiment `line` has no such file
    assert "failed: picky, plain; picky, shifted: x.wav: no audio" in capsys.readouterr().err
    assert lab("run", "picky", "--steps", 2, "source=kinds") == 0  # nothing was trained with the other settings


def test_a_run_that_fails_does_not_stop_the_others(toy, capsys):
    path = toy / "configs" / "lab" / "line.yaml"
    path.write_text(path.read_text().replace("plain: {}", "plain: {lr: 1.0e+30}"))
    assert lab("run", "line", "--steps", 30) == 1
    assert "failed: line, plain: the loss of run plain is not finite at step" in capsys.readouterr().err
    assert [result.run for result in read_results(toy / "runs" / "lab" / "line")] == ["shifted"]


def test_a_page_names_no_folder_of_this_machine():
    made = "tts lab run flat --out /a/b --steps 3 source=/c/d 'evaluated=[2,128]'"
    assert public_command(made, "FSDD") == "tts lab run flat --steps 3 source=FSDD 'evaluated=[2,128]'"


def test_merged():
    tree = {"a": {"b": 1, "c": {"d": 2}}}
    assert merged(tree, {"a.c.d": 3, "a": {"e": 4}}) == {"a": {"b": 1, "c": {"d": 3}, "e": 4}}
    assert tree == {"a": {"b": 1, "c": {"d": 2}}}


def test_resumed_equals_uninterrupted(tmp_path):
    curve, model = line(tmp_path / "whole", 40)
    assert curve[-1].loss < 0.1 * curve[0].loss
    assert [point.step for point in curve if point.metrics] == [8, 16, 24, 32, 40]
    with pytest.raises(KeyboardInterrupt):
        line(tmp_path / "parts", 40, broken=23)
    again, other = line(tmp_path / "parts", 40)
    assert torch.equal(model.weight, other.weight)
    assert [(p.step, p.metrics) for p in again] == [(p.step, p.metrics) for p in curve]
    assert json.dumps([p.loss for p in again[-2:]]) == json.dumps([p.loss for p in curve[-2:]])


def test_gradients_are_logged(tmp_path):
    curve, model = line(tmp_path, 3, log_gradients=True)
    assert curve[-1].gradients == {
        "weight": pytest.approx(float(model.weight.grad.norm())), "bias": pytest.approx(float(model.bias.grad.norm()))
    }  # fmt: skip


def test_a_budget_in_minutes(tmp_path):
    curve, _ = line(tmp_path / "a", minutes=0.001)
    assert curve[-1].seconds >= 0.06 > curve[-2].seconds
    assert sum(bool(point.metrics) for point in curve) <= 5
    assert curve[-1].metrics
    with pytest.raises(InputError, match="has no budget"):
        line(tmp_path / "b")


def _in_processes(folder):
    line(folder, 4)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """Each draws batches of its own, and the gradients are averaged."""
    in_two_processes(_in_processes, str(tmp_path / "two"))
    line(tmp_path / "one", 4)
    one, two = (read_curve(tmp_path / name) for name in ("one", "two"))
    assert [point.step for point in one] == [point.step for point in two]
    assert one[-1].metrics != two[-1].metrics


def test_the_example_of_the_documentation(toy, capsys):
    """docs/lab.md: one file and one YAML, as they stand there, are an experiment that learns."""
    page = (Path(__file__).parents[2] / "docs" / "lab.md").read_text()
    code, config = (re.findall(rf"^```{kind}\n(.*?)^```", page, re.S | re.M) for kind in ("python", "yaml"))
    assert len([line for line in code[0].splitlines() if line.strip()]) <= 20
    (toy / "kinds" / "neighbor.py").write_text(code[0])
    (toy / "configs" / "lab" / "neighbor.yaml").write_text(config[0])
    (toy / "sounds").mkdir()
    for i in range(4):
        t = np.arange(400) / 8000
        audio.write(toy / "sounds" / f"{i}.wav", np.sin(2 * np.pi * 200 * t).astype(np.float32), 8000)
    assert lab("run", "neighbor", "source=sounds", "--steps", 20) == 0
    slow, fast = (result.results["held_out_bits"] for result in read_results(toy / "runs" / "lab" / "neighbor"))
    assert fast < 0.6 * 8 < slow  # at first all 256 codes are as likely: 8 bits
