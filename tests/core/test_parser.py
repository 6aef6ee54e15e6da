"""The parser of all commands: one line for a mistake, arguments of any number on both sides of a flag."""

from pathlib import Path

import pytest

from tts.core.console import Parser
from tts.core.errors import InputError


@pytest.fixture
def parser():
    top = Parser(prog="tts")
    train = top.add_subparsers().add_parser("train")
    train.add_argument("config")
    train.add_argument("overrides", nargs="*", type=Path)
    train.add_argument("--resume", action="store_true")
    train.add_argument("--text")
    return top


@pytest.mark.parametrize("line", ["a b c --resume", "a b --resume c", "a --resume b c", "--resume a b c"])
def test_a_flag_may_stand_between_arguments(parser, line):
    found = parser.parse_args(["train", *line.split()])
    assert (found.config, found.overrides, found.resume) == ("a", [Path("b"), Path("c")], True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a --other b", "unrecognized arguments: --other"),
        ("a b --resume -x", "unrecognized arguments: -x"),
        ("a --text", "argument --text: expected one argument"),
        ("", "the following arguments are required: config"),
    ],
)
def test_a_mistake_is_one_line(parser, line, message):
    with pytest.raises(InputError, match=message):
        parser.parse_args(["train", *line.split()])
