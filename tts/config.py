"""Typed configs: nested dataclasses, one YAML file, dotted overrides. Unknown keys and wrong types fail at once."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from tts.errors import InputError

T = TypeVar("T")


def load(cls: type[T], path: str | Path | None = None, overrides: Iterable[str] = ()) -> T:
    """Read a config: `cls`'s defaults, then the YAML file, then overrides like "train.lr=3e-4".

    Args:
        cls: a dataclass; its fields may be dataclasses, scalars, Literals, optionals, tuples, lists and dicts of those.
        path: a YAML file with a mapping; None for the defaults alone.
        overrides: "dotted.key=value", the value in YAML.

    Raises:
        InputError: the file is missing or no YAML mapping; an unknown key (the nearest known one is named); a value of
            the wrong type.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read(Path(path))
    for override in overrides:
        _set(tree, override)
    return build(cls, tree)


def build(cls: type[T], tree: Mapping[str, Any], where: str = "") -> T:
    """Make the dataclass `cls` of a nested mapping; `where` is the dotted path for messages. Raises as `load`."""
    hints = typing.get_type_hints(cls)
    fields = {field.name for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    values = {}
    for key, value in tree.items():
        name = f"{where}{key}"
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.5)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here: {', '.join(sorted(fields))}"
            raise InputError(f"unknown config key {name}; {hint}")
        values[key] = _convert(hints[key], value, name)
    try:
        return cls(**values)
    except TypeError as error:  # a field without a default is missing
        raise InputError(f"config {where.rstrip('.') or cls.__name__}: {error}") from error


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain dicts, lists and scalars: what `build` reads back, and YAML and JSON can hold."""
    return _plain(dataclasses.asdict(config))


def dump(config: Any) -> str:
    """The config as YAML, in field order."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read config {path}: {error.strerror}; give the path of a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"config {path} is not YAML: {reason}; see configs/tiny.yaml for the form") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"config {path} holds a {type(tree).__name__}; it must hold a mapping of keys to values")
    return tree


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"{override!r} is no override; write key=value, e.g. train.lr=3e-4")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise InputError(f"cannot set {key}: {parent} is a value, not a section")
    try:
        tree[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"the value of {override!r} is not YAML; quote it, e.g. key='\"a: b\"'") from error


def _convert(kind: Any, value: Any, name: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(arg for arg in args if arg is not type(None)), value, name)
    if origin is Literal:
        if value in args and type(value) in {type(arg) for arg in args}:
            return value
        raise InputError(f"config {name} is {value!r}; it must be one of {', '.join(map(str, args))}")
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise InputError(f"config {name} is {value!r}; it must be a section with keys")
        return build(typing.cast(type, kind), value, f"{name}.")
    if origin in (tuple, list):
        return _convert_items(origin, args, value, name)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"config {name} is {value!r}; it must be a mapping")
        return {_convert(args[0], key, name): _convert(args[1], item, f"{name}.{key}") for key, item in value.items()}
    return _convert_scalar(kind, value, name)


def _convert_items(origin: type, args: tuple[Any, ...], value: Any, name: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise InputError(f"config {name} is {value!r}; it must be a list, e.g. [1, 2]")
    if origin is tuple and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise InputError(f"config {name} has {len(value)} items; it must have {len(args)}")
        kinds = list(args)
    else:
        kinds = [args[0]] * len(value)
    return origin(_convert(kind, item, f"{name}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _convert_scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 3e-4 as a string
        except (ValueError, OverflowError):
            pass
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise InputError(f"config {name} is {value!r} ({type(value).__name__}); it must be of type {kind.__name__}")
