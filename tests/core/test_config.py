from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tts.core import config as configs
from tts.core.errors import InputError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1, 2)
    span: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    count: int = 3
    flag: bool = False
    path: Path | None = None
    inner: Inner = field(default_factory=Inner)
    named: dict[str, Inner] = field(default_factory=dict)


def test_file_then_overrides(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("name: y\ninner: {rate: 3e-4, sizes: [7]}\nnamed: {p*: {kind: b}}\n")
    config = configs.load(Outer, file, ["inner.span=[1, 2]", "count=5", "path=here", "inner.rate=1"])
    assert config == Outer("y", 5, False, Path("here"), Inner(1.0, "a", (7,), (1.0, 2.0)), {"p*": Inner(kind="b")})


@dataclass(frozen=True)
class Special:
    """Its sections have other defaults than their classes, at two depths."""

    outer: Outer = field(default_factory=lambda: Outer(count=5, inner=Inner(rate=0.2, kind="b")))
    inner: Inner = Inner(sizes=(9,))


def test_a_section_s_own_defaults_hold_for_the_keys_that_are_missing(tmp_path):
    assert configs.load(Special) == Special()
    config = configs.load(Special, None, ["outer.inner.sizes=[4]", "inner.rate=1"])
    assert config == Special(Outer(count=5, inner=Inner(0.2, "b", (4,))), Inner(1.0, sizes=(9,)))


@dataclass(frozen=True)
class Leaf:
    flag: bool = False
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Tree:
    leaf: Leaf = Leaf(kind="b")


def test_describe_has_a_section_s_own_defaults():
    assert configs.describe(Tree).splitlines()[2:] == [
        "| `leaf.flag` | `true` or `false` | `false` |",
        "| `leaf.kind` | `a` or `b` | `b` |",
    ]


def test_dump_is_read_back(tmp_path):
    config = Outer(path=Path("a/b"), named={"k": Inner(0.5)})
    file = tmp_path / "c.yaml"
    file.write_text(configs.dump(config))
    assert configs.load(Outer, file) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inner.rat=1", "unknown config key inner.rat; did you mean inner.rate?"),
        ("zzz=1", "unknown config key zzz; known here: count"),
        ("count=1.5", "count is 1.5 (float); it must be of type int"),
        ("count=true", "count is True (bool)"),
        ("flag=1", "flag is 1 (int); it must be of type bool"),
        ("inner.kind=c", "inner.kind is 'c'; it must be one of a, b"),
        ("inner=3", "inner is 3; it must be a section"),
        ("inner.sizes=3", "inner.sizes is 3; it must be a list"),
        ("inner.sizes=[a]", "inner.sizes[0] is 'a'"),
        ("inner.span=[1]", "inner.span has 1 items; it must have 2"),
        ("name", "is no override; write key=value"),
        ("name=[", "is not YAML"),
        ("name.deep=1", "name.deep"),
        ("inner.rate=fast", "inner.rate is 'fast'"),
    ],
)
def test_refused_overrides(override, message):
    with pytest.raises(InputError) as error:
        configs.load(Outer, None, ["name=x", override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_refused_files(tmp_path):
    with pytest.raises(InputError, match="cannot read config"):
        configs.load(Outer, tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="must hold a mapping"):
        configs.load(Outer, tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is not YAML"):
        configs.load(Outer, tmp_path / "bad.yaml")
