"""What a config may hold: every number has a range, and what is outside ends in one line before anything is read."""

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
import pytest
import train_recognizer
from hypothesis import given, settings
from hypothesis import strategies as st
from test_train_command import tts_train

from data_recipes.fsdd import RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts import config as configs
from tts.config import Range
from tts.errors import InputError
from tts.evaluation.augment import AugmentOptions
from tts.evaluation.recognizer import RecognizerConfig
from tts.generation.request import Sampling
from tts.generation.weights import weight_shapes
from tts.models.config import MOST_NUMBERS, TwoTierConfig
from tts.training.config import DataConfig, GroupConfig, LossConfig, RunConfig, TrainConfig
from tts.voice import VoiceConfig, load_voice

ROOT = Path(__file__).parents[1]
TINY = ROOT / "configs" / "tiny.yaml"
WHOLE = {RunConfig: "a run", VoiceConfig: "a voice", train_recognizer.Config: "the recognizer's training"}
"""The configs that files hold; every other one is a section of theirs."""


@dataclasses.dataclass(frozen=True)
class Number:
    """One place in a config that holds a number."""

    cls: type
    key: str
    kind: type
    allowed: Range | None
    wrap: Any
    """From a number to the value of the field `field`."""
    field: str


def sections(cls: type) -> list[type]:
    """A config's dataclass and all that it holds, however deep."""

    def inside(kind: Any) -> list[type]:
        if dataclasses.is_dataclass(kind):
            return sections(typing.cast(type, kind))
        return [found for arg in get_args(kind) if not isinstance(arg, Range) for found in inside(arg)]

    return [cls, *(found for kind in configs.field_types(cls).values() for found in inside(kind))]


def numbers_of(cls: type) -> list[Number]:
    """Every int or float of a dataclass's own fields, also in lists, tuples, dicts and optionals."""
    found = []

    def look(kind: Any, field: str, wrap: Any) -> None:
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            notes = [note for note in args[1:] if isinstance(note, Range)]
            found.append(Number(cls, field, args[0], notes[0] if notes else None, wrap, field))
        elif kind in (int, float):
            found.append(Number(cls, field, kind, None, wrap, field))
        elif origin in (Union, types.UnionType):
            for arg in args:
                look(arg, field, wrap)
        elif origin is tuple and args[-1] is not Ellipsis:
            look(args[0], field, lambda x: wrap((x,) * len(args)))
        elif origin in (tuple, list):
            look(args[0], field, lambda x: wrap((x,)))
        elif origin is dict and not dataclasses.is_dataclass(args[1]) and args[1] is not Any:
            look(args[1], field, lambda x: wrap({"a": x}))

    for name, kind in configs.field_types(cls).items():
        look(kind, name, lambda x: x)
    return found


SECTIONS = list(dict.fromkeys(found for cls in WHOLE for found in sections(cls)))
NUMBERS = [number for cls in SECTIONS for number in numbers_of(cls)]
BOUNDED = [number for number in NUMBERS if number.allowed]


def named(number: Number) -> str:
    return f"{number.cls.__module__.split('.')[-1]}.{number.cls.__name__}.{number.field}"


def test_the_walk_finds_every_config():
    known = {SequenceOptions, RecordingOptions, AugmentOptions, RecognizerConfig, Sampling, TwoTierConfig, GroupConfig}
    assert known < set(SECTIONS)
    assert len(SECTIONS) >= 16
    assert len(NUMBERS) > 100


@pytest.mark.parametrize("number", NUMBERS, ids=named)
def test_every_number_declares_its_range(number):
    assert number.allowed, f"{named(number)} has no Range; declare what it may be where it is declared"
    assert math.isfinite(number.allowed.low) and math.isfinite(number.allowed.high)


@pytest.mark.parametrize("cls", SECTIONS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_config_with_numbers_checks_itself(cls):
    """Whoever makes it: `check` is called in `__post_init__`, or a range would be a mere comment."""
    for number in numbers_of(cls):
        with pytest.raises(InputError, match=number.field):
            made(cls, **{number.field: number.wrap(math.nan)})


VOICE = {"name": "a", "sample_rate": 8000, "speakers": ("a",), "default_speaker": "a",
         "model": TwoTierConfig(), "text_encoder": typing.get_type_hints(VoiceConfig)["text_encoder"]()}  # fmt: skip


def made(cls, **values):
    return cls(**{**(VOICE if cls is VoiceConfig else {}), **values})


def outside(number: Number) -> st.SearchStrategy[Any]:
    low, high = number.allowed.low, number.allowed.high
    kinds = [st.sampled_from([math.nan, math.inf, -math.inf, True, "1", [1], 10**400, -(10**400), 10**5000])]
    if number.kind is int:
        kinds += [st.integers(max_value=int(low) - 1), st.integers(min_value=int(high) + 1), st.just(low + 0.5)]
    else:
        kinds += [st.floats(max_value=low, exclude_max=True), st.floats(min_value=high, exclude_min=True)]
    if number.allowed.low_open:
        kinds.append(st.just(low))
    if number.allowed.high_open:
        kinds.append(st.just(high))
    if number.allowed.even:
        kinds.append(st.integers(int(low), int(high) - 1).map(lambda x: x // 2 * 2 + 1))
    return st.one_of(kinds)


def inside(number: Number) -> st.SearchStrategy[Any]:
    allowed = number.allowed
    if number.kind is float:
        return st.floats(allowed.low, allowed.high, exclude_min=allowed.low_open, exclude_max=allowed.high_open)
    return st.integers(int(allowed.low), int(allowed.high)).filter(lambda x: x in allowed)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_number_outside_is_refused_by_name(data):
    number = data.draw(st.sampled_from(BOUNDED))
    value = data.draw(outside(number))
    with pytest.raises(InputError) as error:
        made(number.cls, **{number.field: number.wrap(value)})
    message = str(error.value)
    assert f"{number.field} is " in message or f"{number.field}[0] is " in message
    assert number.allowed.text(number.kind) in message
    assert "\n" not in message
    assert len(message) < 300


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_number_inside_is_accepted(data):
    """Only a check of several fields may still refuse it."""
    number = data.draw(st.sampled_from(BOUNDED))
    value = data.draw(inside(number))
    try:
        made(number.cls, **{number.field: number.wrap(value)})
    except InputError as error:
        assert number.allowed.text(number.kind) not in str(error)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1), 1])
def test_numbers_of_numpy_are_numbers(value):
    assert Sampling(temperature=value).temperature == value


@pytest.mark.parametrize("value", [np.bool_(True), np.float32("nan"), np.array([0.5, 1])])
def test_what_numpy_has_besides_is_not(value):
    with pytest.raises(InputError, match="temperature is"):
        Sampling(temperature=value)


# The command

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
    "loss.scored=.nan": "loss.scored is nan",
    "loss.scored=2": "loss.scored is 2.0; it must be a finite number above 0 and at most 1",
    "loss.scored=0": "loss.scored is 0.0",
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
    "output=/dev/null/x": "output is /dev/null/x, but /dev/null is no folder",
    "model.dim=100000000": "model.dim is 100000000; it must be a whole number from 1 to 16384",
    "model.dim=16384": "numbers in its weights and tables; it may have 2.7e+08: lower model.frame_size",
    "model.clock_frames=1000000000": "model.clock_frames is 1000000000",
    "model.n_rnn=1000000000": "model.n_rnn is 1000000000",
    "model.sample_layers=1000000000": "model.sample_layers is 1000000000",
    "model.word_parts=3": "model.word_parts is 3; it must be one of 1, 4",
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
    "sampling.timing_spread=.nan": "sampling.timing_spread is nan",
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
    monkeypatch.setattr("tts.training.data.build_recordings", lambda *_: pytest.fail("the corpus was read"))
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
    assert f"{tmp_path} cannot be written to" in message


def test_a_name_too_long_for_the_file_system(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in refused(capsys, tmp_path, TINY, f"output={'a' * 300}/b")[-200:]


# Sizes


@pytest.mark.parametrize(
    ("fits", "too_large"),
    [
        ({"dim": 4000}, {"dim": 10_000}),
        ({"sample_dim": 8000}, {"sample_dim": 16_384}),
        ({"n_rnn": 4, "dim": 2048}, {"n_rnn": 64, "dim": 2048}),
        ({"q_levels": 32_768, "sample_dim": 2000}, {"q_levels": 32_768, "sample_dim": 8000}),
        ({"clock_frames": 10_000}, {"clock_frames": 100_000}),
    ],
)
def test_sizes_are_bounded_before_memory_is_asked_for(fits, too_large):
    config = TwoTierConfig(**fits)
    assert sum(math.prod(shape) for shape in weight_shapes(config).values()) <= MOST_NUMBERS
    with pytest.raises(InputError, match="numbers in its weights and tables"):
        TwoTierConfig(**too_large)


def test_what_only_training_needs_counts_as_well():
    loss = LossConfig(spectral_offsets=(1,) * 64, n_mels=1024, n_fft=2048)
    recordings = RecordingOptions(sample_rate=48_000)
    with pytest.raises(InputError, match="numbers in its weights and tables"):
        RunConfig(data=DataConfig(recordings=recordings), model=TwoTierConfig(dim=4096), loss=loss)


@pytest.fixture
def voice(voice_folder, tmp_path):
    for path in voice_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "key", ["n_rnn", "sample_layers", "clock_frames", "dim", "frame_size", "hist_size", "word_dim"]
)
@pytest.mark.parametrize("value", [10**9, 10**18, 0, -1, math.nan, math.inf])
def test_a_voice_s_sizes_are_bounded(voice, key, value):
    """A voice may come from anywhere; none of these may hang, or eat the memory."""
    tree = json.loads((voice / "config.json").read_text())
    tree["model"][key] = value
    (voice / "config.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=rf"model\.{key} is") as error:
        load_voice(voice)
    assert "fetch the voice again" in str(error.value)


def test_a_voice_whose_sizes_are_too_large_together(voice):
    tree = json.loads((voice / "config.json").read_text())
    tree["model"] |= {"n_rnn": 64, "dim": 16384}
    (voice / "config.json").write_text(json.dumps(tree))
    with pytest.raises(InputError, match="numbers in its weights and tables"):
        load_voice(voice)


# The docs


def test_the_documentation_lists_every_key():
    """To bring it up to date, put what `describe(RunConfig)` returns there."""
    page = (ROOT / "docs" / "training.md").read_text()
    table = page.partition("<!-- keys -->\n")[2].partition("\n<!-- end of keys -->")[0]
    assert table == configs.describe(RunConfig)


def test_describe_names_what_is_allowed():
    table = configs.describe(RunConfig).splitlines()
    assert "| `train.lr` | a finite number above 0 and at most 10 | `0.002` |" in table
    assert "| `train.groups.PATTERN.weight_decay` | a finite number from 0 to 1, or null | `null` |" in table
    assert (
        "| `loss.spectral_offsets` | a list of any length, each a whole number from 1 to 1000 | `[2, 6, 12]` |" in table
    )
    assert len(table) == 2 + len(set(table[2:]))


# Cross-checks of the other configs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugmentOptions(snr_db=(40.0, 5.0)), "snr_db is"),
        (lambda: AugmentOptions(rough_bits=(8, 4)), "rough_bits is"),
        (lambda: AugmentOptions(speeds=()), "speeds has 0 items"),
        (lambda: RecognizerConfig(window=512), "model.window is 512; it must be at most model.n_fft, 256"),
        (lambda: RecognizerConfig(hop=201), "model.hop is 201"),
        (lambda: RecognizerConfig(mels=200), "model.mels is 200"),
        (lambda: RecognizerConfig(low_hz=3950.0), "model.low_hz is 3950.0"),
        (lambda: RecognizerConfig(sample_rate=16000), "model.sample_rate is 16000; it must be 8000"),
        (lambda: train_recognizer.DataConfig(gap_seconds=(2.0, 1.0)), "gap_seconds is"),
        (lambda: SequenceOptions(speakers=("a", "a")), "name each speaker once"),
        (lambda: LossConfig(spectral_offsets=(1,) * 65), "has 65 items"),
        (lambda: TrainConfig(betas=(0.9,)), "train.betas has 1 items; it must have 2"),
        (lambda: TrainConfig(betas=None), "train.betas is None"),
        (lambda: TwoTierConfig(cell="rnn"), "model.cell is 'rnn'; it must be one of gru, lstm"),
        (lambda: TwoTierConfig(n_rnn=1.0), "model.n_rnn is 1.0; it must be a whole number"),
    ],
)
def test_fields_that_do_not_go_together(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert message in str(error.value)


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


def test_the_shipped_recognizer_config_loads():
    assert configs.load(train_recognizer.Config, ROOT / "configs" / "recognizer.yaml").train.steps == 3200
