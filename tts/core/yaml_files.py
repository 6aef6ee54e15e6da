"""YAML as plain values, within bounds: what a file may not hold is refused with the reason in one line."""

from pathlib import Path
from typing import Any

import yaml

from tts.core.errors import InputError
from tts.core.messages import key_text, reason

MOST_BYTES = 2**18  # of a YAML file; the largest that ships has 2,000
MOST_KEYS = 10_000  # in one mapping, once what it merges is in it
MOST_LEVELS = 100  # of lists and mappings in each other


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML's own loader takes the second, and what grows or nests without end."""

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        self._check_depth(self.flow_level)
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        self._check_depth(len(self.indents))
        return super().add_indent(column)

    def _check_depth(self, depth: int) -> None:
        if depth >= MOST_LEVELS:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"{key_text(key.value)} is there twice", problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_KEYS} keys", problem_mark=node.start_mark)


def parse(text: str) -> Any:
    """YAML as values. Raises ValueError with the reason, short and in one line."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = f"{' '.join(str(error.problem or error.context).split())[:120]}{place}"
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an integer or a date that is none
        problem = reason(error, 120)
    except RecursionError:
        problem = "it refers to itself"
    except Exception:  # whatever else PyYAML runs into where a tag does not fit its value: KeyError, IndexError ...
        problem = "it holds a value that is not what its tag says"
    raise ValueError(problem)


def dump(value: Any, in_line: bool = False) -> str:
    """Plain values as YAML, mappings in their order; `in_line`: in brackets."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=in_line)
    return text


def read(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, {} of an empty one. Raises InputError where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read config {path}: {error.strerror}; give the path of a YAML file") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"config {path} has more than {MOST_BYTES} bytes; give the path of a YAML file")
    try:
        tree = parse(content.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"config {path} is not YAML: {error}; see configs/tiny.yaml for the form") from error
    if tree is not None and not isinstance(tree, dict):
        raise InputError(f"config {path} holds a {type(tree).__name__}; it must hold a mapping of keys to values")
    return tree or {}
