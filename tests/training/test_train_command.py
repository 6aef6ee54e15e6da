"""`tts train` / `scripts/train.py` from end to end on a miniature corpus, and the configs that ship."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.miniature_fsdd import write_corpus
from helpers.train_command import SMALL, tts_train

from tts import load_voice
from tts.core import config as configs
from tts.core.errors import InputError
from tts.training import checkpoint
from tts.training.config import RunConfig

ROOT = Path(__file__).parents[2]
RECOGNIZERS = {"recognizer.yaml", "second_judge.yaml"}
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.name not in RECOGNIZERS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "recordings")


def test_a_run_from_end_to_end(tmp_path, corpus, capsys):
    run = tmp_path / "run"
    config = tmp_path / "c.yaml"
    config.write_text("name: mini\n")
    assert tts_train(config, f"data.source={corpus}", f"output={run}", *SMALL) in (0, None)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    keys = set().union(*lines)
    assert {"train/nll_bits", "train/advance_loss", "train/spectral_loss", "train/samples_per_second"} <= keys
    assert {"validation/nll_bits", "validation/advance_loss"} <= keys
    assert list((run / "tensorboard").glob("events*"))
    assert checkpoint.load(run / "checkpoints" / "best.safetensors").state.step in (2, 4)
    resolved = configs.load(RunConfig, run / "config.yaml")
    assert resolved.model.word_dim == 384
    assert resolved.model.n_speakers == 1
    pictures = sorted((run / "samples").glob("step-*/spectrograms.png"))
    assert len(pictures) == 2
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert len(list((run / "samples" / "step-000004").glob("*.wav"))) == 1
    # The voice speaks by itself.
    voice = load_voice(run / "voice")
    assert list(voice.speakers) == ["theo"]
    assert len(voice.speak("4 7", max_seconds=0.5).samples) > 0
    # A second run over it is refused, and harms nothing.
    before = (run / "checkpoints" / "latest.safetensors").read_bytes()
    assert tts_train(config, f"data.source={corpus}", f"output={run}", *SMALL) == 2
    assert "give --resume to resume" in capsys.readouterr().err
    assert (run / "checkpoints" / "latest.safetensors").read_bytes() == before
    assert tts_train(run / "config.yaml", "train.steps=6", "--resume") in (0, None)
    assert checkpoint.load(run / "checkpoints" / "latest.safetensors").state.step == 6


@pytest.mark.slow
def test_overfits_one_file(tmp_path, corpus):
    run = tmp_path / "one"
    config = tmp_path / "c.yaml"
    config.write_text("")
    options = [o for o in SMALL if "steps" not in o and "sequences.max" not in o and "dim=" not in o]
    size = ["model.dim=64", "model.sample_dim=48", "train.lr=1e-2", "train.validate_every=60", "train.ema=0"]
    more = ["train.steps=60", "train.warmup_steps=5", "train.log_every=5", "train.batch_size=1", "loss.frame_share=1"]
    file = corpus / "7_theo_12.wav"
    assert tts_train(config, f"output={run}", *options, *size, *more, "--overfit", file) in (0, None)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    nll = [line["train/nll_bits"] for line in lines if "train/nll_bits" in line]
    assert nll[-1] < nll[0] - 2


@pytest.mark.parametrize(("name", "text"), [("three-hundred_ann_2.wav", None), ("a.wav", "Three hundred")])
def test_one_file_says_any_words(tmp_path, corpus, capsys, name, text):
    (tmp_path / "c.yaml").write_text("")
    file = tmp_path / name
    file.write_bytes((corpus / "7_theo_12.wav").read_bytes())
    said = ["--text", text] if text else []
    output = [f"output={tmp_path / 'one'}", "train.steps=2"]
    assert tts_train(tmp_path / "c.yaml", *SMALL, *output, "--overfit", file, *said) in (0, None)
    assert f"{name} says three hundred\n" in capsys.readouterr().err
    assert load_voice(tmp_path / "one" / "voice").vocabulary == ("hundred", "three")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.yaml"], "cannot read config nothing.yaml"),
        ([ROOT / "configs/tiny.yaml", "train.lrr=1"], "unknown config key train.lrr; did you mean train.lr?"),
        ([ROOT / "configs/tiny.yaml", "train.steps=many"], "train.steps is 'many' (str); it must be of type int"),
        ([ROOT / "configs/tiny.yaml", "train.precision=fp16"], "must be one of auto, fp32, bf16"),
        ([ROOT / "configs/tiny.yaml", "data.corpus=fsdd", "data.speakers=[theo]", "data.source=/nowhere"], "/nowhere"),
        ([ROOT / "configs/tiny.yaml", "--text", "4"], "--overfit"),
        ([ROOT / "configs/tiny.yaml", "--overfit", "none.wav"], "begin with words and _; give its text with --text"),
        ([ROOT / "configs/tiny.yaml", "--overfit", "4_none.wav"], "4_none.wav"),
    ],
    ids=str,
)
def test_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert tts_train(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_load(path):
    header = path.read_text()
    assert header.startswith("#"), "a config says its command, hardware, time and result"
    if path.name not in RECOGNIZERS:
        configs.load(RunConfig, path)


def without_each_value(tree):
    """The nested mapping without one of its values, for each of them."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", {**tree, key: rest}) for name, rest in without_each_value(value))
        else:
            yield key, {other: tree[other] for other in tree if other != key}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_hold_only_what_differs_from_the_defaults(path):
    tree = yaml.safe_load(path.read_text())
    whole = configs.load(RunConfig, path)

    def same(rest):
        try:
            return configs.build(RunConfig, rest) == whole
        except InputError:  # it needs the value to be a config at all
            return False

    assert [key for key, rest in without_each_value(tree) if same(rest)] == []


def test_the_defaults_are_the_shipped_voice_s_recipe():
    """But for its length, its batch and what goes with them."""
    shipped = configs.to_dict(configs.load(RunConfig, ROOT / "configs" / "fsdd.yaml"))
    defaults = configs.to_dict(RunConfig())
    for section in ("data", "text", "model", "loss", "sampling"):
        assert shipped[section] == defaults[section]
    differ = {key for key, value in defaults["train"].items() if shipped["train"][key] != value}
    assert differ <= {"steps", "batch_size", "lr", "warmup_steps", "final_lr", "ema", "workers"} | {
        "validate_every", "checkpoint_every"}  # fmt: skip


@pytest.mark.slow
def test_two_processes_under_accelerate_launch(tmp_path, corpus):
    """`accelerate launch` with two CPU processes: one run, written once; the launcher's contradictions are reported."""
    run = tmp_path / "run"
    config = tmp_path / "c.yaml"
    config.write_text("")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--mixed_precision", "fp16", "--gradient_accumulation_steps", "3"]
    command += [str(ROOT / "scripts" / "train.py"), str(config), f"data.source={corpus}", f"output={run}", *SMALL]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 4]  # validation after step 2; the log line and validation of the last step
    found = checkpoint.load(run / "checkpoints" / "latest.safetensors")
    assert found.state.step == 4
    assert found.state.sequences_per_step == 4
    said = [line for line in done.stderr.splitlines() if line.startswith("tts: ")]
    precision = found.config["train"]["precision"]
    assert said[0].startswith(f"tts: precision: {precision} (this processor ")
    assert said[1:] == [
        f"tts: warning: accelerate launch has --mixed_precision fp16, the config train.precision={precision}; "
        "the config holds",
        "tts: warning: accelerate launch has --gradient_accumulation_steps 3, the config train.accumulation=1; "
        "the config holds",
    ]
