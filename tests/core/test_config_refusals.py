"""What `tts train` refuses before anything is read: values, and YAML that is no config. One line, exit code 2."""

from pathlib import Path
from typing import Any

import pytest
from helpers.train_command import tts_train
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.core import config as configs
from tts.core.errors import InputError
from tts.recognition import training as train_recognizer
from tts.training.config import RunConfig

ROOT = Path(__file__).parents[2]
TINY = ROOT / "configs" / "tiny.yaml"

REFUSED = {
    "train.lr=.nan": "train.lr is nan; it must be a finite number above 0 and at most 10",
    "train.lr=nan": "train.lr is nan",
    "train.lr=-1": "train.lr is -1.0; it must be",
    "train.lr=.inf": "train.lr is inf",
    "train.lr=1e999": "train.lr is inf",
    "train.lr=0": "train.lr is 0.0",
    "train.betas=[2, 2]": "train.betas[0] is 2.0; it must be a finite number of at least 0 and below 1",
    "train.betas=[0.9, 1]": "train.betas[1] is 1.0",
    "train.clip=-1": "train.clip is -1.0",
    "train.clip=.inf": "train.clip is inf",
    "train.warmup_steps=-5": "train.warmup_steps is -5; it must be a whole number from 0",
    "train.weight_decay=.inf": "train.weight_decay is inf",
    "train.groups={a: {lr_scale: .inf}}": "train.groups.a.lr_scale is inf",
    "train.groups={a: {weight_decay: .nan}}": "train.groups.a.weight_decay is nan",
    "train.workers=-1": "train.workers is -1; it must be a whole number from 0 to 256",
    "train.threads=-1": "train.threads is -1",
    "train.steps=0": "train.steps is 0",
    "train.ema=1": "train.ema is 1.0",
    "train.word_noise=.inf": "train.word_noise is inf",
    "train={batch_size: 4096, bucket: 1024}": "their product must be at most",
    "loss.frame_share=.nan": "loss.frame_share is nan",
    "loss.frame_share=2": "loss.frame_share is 2.0; it must be a finite number above 0 and at most 1",
    "loss.frame_share=0": "loss.frame_share is 0.0",
    "loss.n_fft=0": "loss.n_fft is 0",
    "loss.n_fft=4096": "loss.n_fft is 4096; with data.recordings.sample_rate 8000 it must be at most 1600",
    "loss.n_mels=0": "loss.n_mels is 0",
    "loss.n_mels=130": "loss.n_mels is 130; a spectrum of loss.n_fft 256 has 129 bins",
    "loss.spectral_offsets=[]": "loss.spectral_offsets has 0 items",
    "loss.spectral_offsets=[0]": "loss.spectral_offsets[0] is 0",
    "loss.spectral_offsets=[-1]": "loss.spectral_offsets[0] is -1",
    "loss.spectral_weight=.inf": "loss.spectral_weight is inf",
    "loss.advance_weight=-1": "loss.advance_weight is -1.0",
    "validation.sequences=0": "validation.sequences is 0",
    "validation.judged=-1": "validation.judged is -1",
    "seed=-1": "seed is -1; it must be a whole number from 0 to 4294967295",
    "seed=4294967296": "seed is 4294967296",
    "name=''": "name is empty",
    "output=''": "output is ''; it must be a path",
    "output=": "output is None",
    "output=/dev/null/x": "output /dev/null/x: /dev/null is a file; name a folder",
    "model.dim=100000000": "model.dim is 100000000; it must be a whole number from 1 to 16384",
    "model.dim=16384": "numbers in its weights and tables; it may have 2.7e+08: lower model.frame_size",
    "model.clock_frames=1000000000": "model.clock_frames is 1000000000",
    "model.n_rnn=1000000000": "model.n_rnn is 1000000000",
    "model.sample_layers=1000000000": "model.sample_layers is 1000000000",
    "model.units_per_word=3": "model.units_per_word is 3; it must be one of 1, 4",
    "model.word_dim=5": "model.word_dim is 5, but this run's is 384; leave it out",
    "model.n_speakers=7": "model.n_speakers is 7, but data.speakers are 1",
    "data.speakers=[jackson, jackson]": "data.speakers is ('jackson', 'jackson'); name each speaker once",
    "data.sequences.speakers=[theo]": "data.sequences.speakers has 'theo', who is none of data.speakers",
    "data.sequences.max_digits=1000000000": "data.sequences.max_digits is 1000000000",
    "data.sequences={min_digits: 4, max_digits: 3}": "data.sequences: min_digits is 4 and max_digits 3",
    "data.sequences={min_digits: 4, max_digits: 5, hold_outs: [length]}": "data.sequences: min_digits is 4 with",
    "data.sequences={length_weights: [.inf, 1, 1, 1, 1]}": "data.sequences.length_weights[0] is inf",
    "data.sequences.gap_seconds=[0.2, 0.1]": "data.sequences: gap_seconds is [0.2, 0.1]",
    "data.sequences.dither=.nan": "data.sequences.dither is nan",
    "data.recordings.level_dbfs=.nan": "data.recordings.level_dbfs is nan",
    "data.recordings={trim_floor_db: -10}": "data.recordings: trim_floor_db is -10.0 and trim_ceiling_db -28.0",
    "text.layer=100000000000000000000": "text.layer is 100000000000000000000",
    "sampling.temperature=.inf": "sampling.temperature is inf",
    "sampling.duration_spread=.nan": "sampling.duration_spread is nan",
    "sampling.nucleus_temperature=0": "sampling.nucleus_temperature is 0",
    "sampling.comb_filter=-0.1": "sampling.comb_filter is -0.1",
    "sampling.nucleus_temperature=0.5": "nucleus_temperature is 0.5; it needs nuclei",
}
NOT_YAML = {
    "!!int abc": "not YAML",
    "!!float abc": "not YAML",
    "!!bool abc": "not YAML",
    "!!timestamp abc": "not YAML",
    "!!int ''": "not YAML",
    "!!python/object:os.system {}": "not YAML",
    "!!binary '\u00e9'": "not YAML",
    "2026-13-45": "month must be in 1..12",
    "9" * 5000: "not YAML",
    "0x" + "f" * 5000: "an integer of 20000 bits",
    "1e" + "9" * 5000: "is inf",
    "[" * 5000: "nested too deeply",
    "[" * 5000 + "]" * 5000: "nested too deeply",
    "[" * 90 + "]" * 90: "train.lr is [[[...]]]",
    "{a: " * 5000 + "1" + "}" * 5000: "nested too deeply",
    "&a [*a]": "train.lr is [[[...]]]",
    "&a {<<: *a}": "train.lr is {}",
    f"[&a0 [1, 1], {', '.join(f'&a{i + 1} [*a{i}, *a{i}]' for i in range(60))}]": "train.lr is [[1, 1], ",
    "*nobody": "undefined alias",
    "x" * 100_000: "train.lr is 'xxx",
    "{a: 1, a: 2}": "a is there twice",
    "[1, 2": "not YAML",
    "? [1, 2]\n: 3": "not YAML",
    "'\\x": "not YAML",
}


MERGES = "\n".join(["a0: &a0 {x: 1}", *(f"a{i + 1}: &a{i + 1} {{<<: [*a{i}, *a{i}]}}" for i in range(60))])
"""Each holds the one before twice, which PyYAML 6.0.4 joins; versions before it end with 2^60 keys."""
FILES = {
    "doubling merges": (MERGES, "config"),
    "key twice": ("train:\n  lr: 1\n  lr: 2\n", "is not YAML: lr is there twice, line 3, column 3"),
    "section twice": ("train: {lr: 1}\nseed: 1\ntrain: {steps: 5}\n", "train is there twice, line 3"),
    "long key": (f"? {'k' * 90_000}\n: 1\n", "unknown config key 'kkk"),
    "key of lines": ('"a\\nb": 1\n', "unknown config key 'a\\nb'"),
    "integer as key": (f"? 0x{'f' * 5000}\n: 1\n", "unknown config key an integer of 20000 bits"),
    "too large": ("# " + "x" * 300_000, "more than 262144 bytes"),
    "NUL": ("a: \0", "is not YAML"),
    "path with NUL": ('output: "a\\0b"', "output is 'a\\x00b'; it must be a path"),
    "deep list": ("train:\n  lr:\n  " + "- " * 5000, "nested too deeply"),
    "deep mapping": ("\n".join(" " * i + "a:" for i in range(700)), "nested too deeply, line 101"),
    "null": ("train:\n", "train is None; it must be a section"),
}


def refused(capsys, folder: Path, *arguments: Any) -> str:
    """What `tts train` says, in one line, when it refuses; nothing was made on the disk."""
    assert tts_train(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("\n") and captured.err.count("\n") == 1, captured.err[:2000]
    assert len(captured.err) < 500 + len(str(folder))
    assert sorted(path.name for path in folder.iterdir()) in ([], ["c.yaml"])
    return captured.err


@pytest.mark.parametrize("override", REFUSED)
def test_refused_before_anything_is_read(override, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tts.training.data.load_corpus", lambda *_: pytest.fail("the corpus was read"))
    assert REFUSED[override] in refused(capsys, tmp_path, TINY, override)


@pytest.mark.parametrize("value", NOT_YAML, ids=lambda value: value[:30])
def test_what_yaml_cannot_turn_into_a_number(value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert NOT_YAML[value] in refused(capsys, tmp_path, TINY, f"train.lr={value}")
    if "\n" not in value:
        (tmp_path / "c.yaml").write_text(f"train: {{lr: {value}}}")
        refused(capsys, tmp_path, tmp_path / "c.yaml")


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_config(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, message = FILES[case]
    (tmp_path / "c.yaml").write_text(text)
    assert message in refused(capsys, tmp_path, tmp_path / "c.yaml")


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=30) | st.text("[]{}:,&*!<>|'\"#%-? \n0123456789.etx", max_size=30)
)
def test_any_override_gives_a_config_or_one_line(text):
    try:
        configs.load(RunConfig, None, [f"train.lr={text}", f"name={text}"])
    except InputError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 400


def test_an_output_folder_that_may_not_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("os.access", lambda *_: False)
    message = refused(capsys, tmp_path, TINY, f"output={tmp_path}/a/b")
    assert f"{tmp_path} is read-only; name another folder" in message


def test_a_name_too_long_for_the_file_system(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in refused(capsys, tmp_path, TINY, f"output={'a' * 300}/b")[-200:]


@pytest.mark.parametrize("override", ["train.lr=.nan", "data.gap_seconds=[2, 1]", "model.mels=0", "augment.noise=2"])
def test_the_recognizer_s_training_refuses_alike(override, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train_recognizer.py", str(ROOT / "configs" / "recognizer.yaml"), override])
    monkeypatch.setattr(train_recognizer, "build_recordings", lambda *_: pytest.fail("the corpus was read"))
    assert train_recognizer.main() == 2
    error = capsys.readouterr().err
    assert override.partition("=")[0].split(".")[-1] in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
