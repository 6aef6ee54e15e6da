"""What a config may hold: every number has a range, and what is outside is refused by name."""

import dataclasses
import json
import math
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_recipes.corpus import RecordingOptions
from data_recipes.sequences import SequenceOptions
from tts.core import config as configs
from tts.core import yaml_files
from tts.core.config import Range
from tts.core.errors import InputError
from tts.core.sampling import Sampling
from tts.generation.weights import weight_shapes
from tts.models.config import MOST_NUMBERS, TwoTierConfig
from tts.recognition import training as train_recognizer
from tts.recognition.augment import AugmentOptions
from tts.recognition.model import RecognizerConfig
from tts.training.config import DataConfig, GroupConfig, LossConfig, RunConfig, TrainConfig
from tts.voice import VoiceConfig, load_voice

ROOT = Path(__file__).parents[2]
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
def test_any_number_inside_is_accepted_and_read_back(data):
    """Only a check of several fields may still refuse it; what is accepted survives `dump` and `build`."""
    number = data.draw(st.sampled_from(BOUNDED))
    value = data.draw(inside(number))
    try:
        config = made(number.cls, **{number.field: number.wrap(value)})
    except InputError as error:
        assert number.allowed.text(number.kind) not in str(error)
    else:
        assert configs.build(number.cls, yaml_files.parse(configs.dump(config))) == config


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), np.int64(1), 1])
def test_numbers_of_numpy_are_numbers(value):
    assert Sampling(temperature=value).temperature == value


@pytest.mark.parametrize("value", [np.bool_(True), np.float32("nan"), np.array([0.5, 1])])
def test_what_numpy_has_besides_is_not(value):
    with pytest.raises(InputError, match="temperature is"):
        Sampling(temperature=value)


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


def test_the_shipped_recognizer_config_loads():
    assert configs.load(train_recognizer.Config, ROOT / "configs" / "recognizer.yaml").train.steps == 3200
