"""Every test of this folder begins with a fresh accelerate; a toy kind and its experiment."""

import pytest
from accelerate.state import AcceleratorState

import tts.lab

TOY = '''
"""Fits a line."""
from dataclasses import dataclass

import torch

from tts.lab.loop import draws, fit


@dataclass(frozen=True)
class Inner:
    slope: float = 2.0
    shift: float = 0.0


@dataclass(frozen=True)
class Settings:
    lr: float = 0.1
    line: Inner = Inner()


def run(settings, run):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), settings.lr)

    def loss(model, step):
        x = torch.from_numpy(draws(run, step).standard_normal((8, 1), "float32"))
        return (model(x) - settings.line.slope * x - settings.line.shift).square().mean()

    curve = fit(model, loss, optimizer, run, lambda model: {"slope": float(model.weight)}, evaluations=2)
    return {"loss": curve[-1].loss, "slope": curve[-1].metrics["slope"]}


def plot(results, path):
    path.write_bytes(b"picture of " + ", ".join(result.run for result in results).encode())
'''
EXPERIMENT = """
kind: toy
question: Which slope is found?
notes: "The notes found 2."
settings: {line: {slope: 3}}
runs:
  plain: {}
  shifted: {line.shift: 1, lr: 0.2}
columns: [slope, steps]
shows: It is found.
"""


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps its precision for the life of a process."""
    AcceleratorState._reset_state(True)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The working folder, with the experiment `line` of a kind `toy`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "lab").mkdir(parents=True)
    (tmp_path / "configs" / "lab" / "line.yaml").write_text(EXPERIMENT)
    kinds = tmp_path / "kinds"
    kinds.mkdir()
    (kinds / "toy.py").write_text(TOY)
    monkeypatch.setattr(tts.lab, "__path__", [*tts.lab.__path__, str(kinds)])
    return tmp_path
