"""Typed configs: nested dataclasses, one YAML file, dotted overrides. Unknown keys and wrong values fail at once.

What a number may be is declared with its field, once: `lr: Annotated[float, Range(0, 10, low_open=True)]`. A dataclass
whose `__post_init__` calls `check` holds no other number, whoever makes it; `describe` lists the ranges for the docs.
"""

import dataclasses
import functools
import json
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from tts.core.errors import InputError
from tts.core.messages import key_text, shown

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a field may hold. NaN and the infinities never are among them."""

    low: float
    high: float
    low_open: bool = False
    """`low` itself is not allowed."""
    high_open: bool = False
    even: bool = False

    def __contains__(self, value: Any) -> bool:
        above = self.low < value if self.low_open else self.low <= value
        below = value < self.high if self.high_open else value <= self.high
        return above and below and not (self.even and value % 2)

    def text(self, kind: type) -> str:
        """In words, as of a field of type `kind`: "a finite number above 0 and at most 10"."""
        if self.low == self.high:
            return str(self.low)
        noun = "an even number" if self.even else "a whole number" if kind is int else "a finite number"
        if not (self.low_open or self.high_open):
            return f"{noun} from {self.low} to {self.high}"
        least = f"above {self.low}" if self.low_open else f"of at least {self.low}"
        return f"{noun} {least} and {'below' if self.high_open else 'at most'} {self.high}"


def load(cls: type[T], path: str | Path | None = None, overrides: Iterable[str] = ()) -> T:
    """Read a config: `cls`'s defaults, then the YAML file, then overrides like "train.lr=3e-4", their values in YAML.

    The fields of `cls` may be dataclasses, scalars, Literals, optionals, tuples, lists and dicts of those.

    Raises: InputError where the file is missing or no YAML mapping; for an unknown key, with the nearest known one; a
        value of the wrong type or outside its field's range.
    """
    from tts.core import yaml_files  # not above: speaking needs no YAML, and its import takes a twentieth of the start

    tree = {} if path is None else yaml_files.read(Path(path))
    for override in overrides:
        put(tree, *parsed_override(override))
    return build(cls, tree)


def build(cls: type[T], tree: Mapping[str, Any], where: str = "", base: T | None = None) -> T:
    """Make the dataclass `cls` of a nested mapping; `where` is the dotted path for messages. Raises as `load`.

    Keys that are missing, in sections as well, have the values of `base`; without it, `cls`'s defaults.
    """
    hints, defaults = field_types(cls), _defaults(cls, base)
    values = {}
    for key, value in tree.items():
        name = f"{where}{key_text(key)}"
        if key not in hints:
            import difflib  # not above: only mistakes need it, and speaking starts without

            near = difflib.get_close_matches(key_text(key), hints, n=1, cutoff=0.5)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here: {', '.join(sorted(hints))}"
            raise InputError(f"unknown config key {name}; {hint}")
        values[key] = _convert(hints[key], value, name, _scalar, defaults[key])
    try:
        return dataclasses.replace(typing.cast(Any, base), **values) if isinstance(base, cls) else cls(**values)
    except TypeError as error:  # a field without a default is missing
        raise InputError(f"config {where.rstrip('.') or cls.__name__}: {error}") from error
    except InputError as error:  # fields that do not go together, by their own names
        if str(error).startswith(where):
            raise
        raise InputError(f"{where.rstrip('.')}: {error}") from error


def check(config: Any, where: str = "") -> None:
    """Refuse a dataclass's numbers outside their ranges, and what is none of a Literal's values. Raises InputError.

    Its sections are left out: each checks itself. `where` is its dotted path for messages, e.g. "train.".
    """
    for name, kind in field_types(type(config)).items():
        if not dataclasses.is_dataclass(kind):
            _convert(kind, getattr(config, name), f"{where}{name}", lambda _, value, __: value)


def check_order(config: Any, names: Iterable[str]) -> None:
    """Refuse a pair of numbers whose first is above its second; `names` are fields. Raises InputError."""
    for name in names:
        low, high = getattr(config, name)
        if low > high:
            raise InputError(f"{name} is {[low, high]}; the first number must not be above the second")


def describe(cls: type) -> str:
    """A Markdown table of every key of the config `cls`, what it may be and its default, for the documentation."""
    rows = [f"| `{key}` | {allowed} | {default} |" for key, allowed, default in _rows(cls, "")]
    return "\n".join(["| key | what it may be | default |", "| --- | --- | --- |", *rows])


def field_types(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields, their ranges included, in the order of declaration."""
    return _field_types(cls)


@functools.cache
def _field_types(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain dicts, lists and scalars: what `build` reads back, and YAML and JSON can hold."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(config))
    return plain


def dump(config: Any) -> str:
    """The config as YAML, in field order."""
    from tts.core import yaml_files

    return yaml_files.dump(to_dict(config))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


# Overrides


def parsed_override(override: str) -> tuple[str, Any]:
    """Dotted key and value of an override like "train.lr=3e-4". Raises InputError where it is none."""
    from tts.core import yaml_files

    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"{shown(override)} is no override; write key=value, e.g. train.lr=3e-4")
    try:
        return key, yaml_files.parse(text)
    except ValueError as error:
        message = f"the value of {shown(override)} is not YAML: {error}; quote a text, e.g. key='\"a: b\"'"
        raise InputError(message) from error


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set a value in nested mappings by its dotted key. Raises InputError where a part of the key is a value."""
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise InputError(f"cannot set {key_text(key)}: {key_text(parent)} is a value, not a section")
    tree[last] = value


# Values


def _defaults(cls: type, base: Any = None) -> dict[str, Any]:
    """The fields of `base`, or of `cls`'s defaults, MISSING where there is none."""
    if isinstance(base, cls):
        return {name: getattr(base, name) for name in field_types(cls)}
    return {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(cls)
    }


def _convert(kind: Any, value: Any, name: str, scalar: Callable[[Any, Any, str], Any], base: Any = None) -> Any:
    """A value as the type `kind`, inside its range; `scalar` converts what has no parts."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(_not_none(args), value, name, scalar, base)
    if origin is Annotated:
        value, allowed = scalar(args[0], value, name), args[1]
        wanted = numbers.Integral if args[0] is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, wanted) or value not in allowed:
            raise InputError(f"{name} is {shown(value)}; it must be {allowed.text(args[0])}")
        return value
    if origin is Literal:
        if not any(value == arg and type(value) is type(arg) for arg in args):
            raise InputError(f"{name} is {shown(value)}; it must be one of {', '.join(map(str, args))}")
        return value
    if dataclasses.is_dataclass(kind):
        if isinstance(value, typing.cast(type, kind)):
            return value
        if not isinstance(value, Mapping):
            raise InputError(f"{name} is {shown(value)}; it must be a section with keys")
        return build(typing.cast(type, kind), value, f"{name}.", base)
    if origin in (tuple, list):
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{name} is {shown(value)}; it must be a list, e.g. [1, 2]")
        fixed = origin is tuple and args[-1] is not Ellipsis
        if fixed and len(value) != len(args):
            raise InputError(f"{name} has {len(value)} items; it must have {len(args)}")
        kinds = args if fixed else args[:1] * len(value)
        parts = enumerate(zip(kinds, value, strict=True))
        return origin(_convert(part, item, f"{name}[{i}]", scalar) for i, (part, item) in parts)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{name} is {shown(value)}; it must be a mapping")
        return {
            scalar(args[0], key, name): _convert(args[1], item, f"{name}.{key_text(key)}", scalar)
            for key, item in value.items()
        }
    return scalar(kind, value, name)


def _not_none(args: tuple[Any, ...]) -> Any:
    return next(arg for arg in args if arg is not type(None))


def _scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is Any:
        return value
    if kind is Path and isinstance(value, str):
        if not value or "\0" in value:
            raise InputError(f"{name} is {shown(value)}; it must be a path")
        return Path(value)
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 3e-4 as a string
        except (ValueError, OverflowError):
            pass
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise InputError(f"{name} is {shown(value)} ({type(value).__name__}); it must be of type {kind.__name__}")


# Describing


def _rows(cls: type, where: str, base: Any = None) -> Iterator[tuple[str, str, str]]:
    """Key, what it may be and default, section by section."""
    defaults = _defaults(cls, base)
    for name, kind in field_types(cls).items():
        args = get_args(kind)
        if dataclasses.is_dataclass(kind):
            yield from _rows(typing.cast(type, kind), f"{where}{name}.", defaults[name])
        elif get_origin(kind) is dict and dataclasses.is_dataclass(args[1]):
            yield from _rows(typing.cast(type, args[1]), f"{where}{name}.PATTERN.")
        else:
            yield f"{where}{name}", _text(kind), _default(defaults[name])


def _text(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return f"{_text(_not_none(args))}, or null"
    if origin is Annotated:
        return args[1].text(args[0])
    if origin is Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin in (tuple, list):
        count = "any length" if origin is list or args[-1] is Ellipsis else len(args)
        return f"a list of {count}, each {_text(args[0])}"
    if origin is dict:
        return "a mapping"
    return {bool: "`true` or `false`", str: "text", Path: "a path"}[kind]


def _default(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "(must be given)"
    from tts.core import yaml_files

    text = yaml_files.dump(_plain(value), in_line=True)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"
