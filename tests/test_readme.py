"""What the documents say exists: commands parse, configs and files are there, and no link leads nowhere."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tts
from tts.cli import make_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


STARTS = ("tts ", "pip install", "accelerate launch", "ACCELERATE_USE_CPU=true accelerate launch")


def commands():
    """The words after `tts` of every command in a fenced block, `scripts/train.py` being `tts train`."""
    for document in DOCUMENTS:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(), re.S | re.M)
        for line in "\n".join(text for language, text in blocks if language in ("", "bash")).splitlines():
            if not line.startswith(STARTS):
                continue
            for part in re.split(r"&&|\|", line):
                words = [*takewhile(lambda word: word not in ("<", ">"), shlex.split(part, comments=True))]
                if "scripts/train.py" in words:
                    words = ["tts", "train", *words[words.index("scripts/train.py") + 1 :]]
                if words[:1] == ["tts"]:
                    yield pytest.param(words[1:], id=f"{document.name}: {' '.join(words)}")


@pytest.mark.parametrize("words", commands())
def test_commands_parse(words):
    arguments = make_parser().parse_args(words)
    if words[0] == "train" and arguments.config.startswith("configs/"):
        assert (ROOT / arguments.config).is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


def test_python_runs(tmp_path, monkeypatch):
    """The blocks of all documents, README first, as one program; what a reader has is stood in for."""
    monkeypatch.chdir(tmp_path)
    names = {
        "lines": ["4 7 2", "one"],
        "wave": np.zeros(8000, np.float32),
        "device": SimpleNamespace(write=lambda chunk: None),
    }
    run = []
    for document in DOCUMENTS:
        for code in re.findall(r"^```python\n(.*?)^```", document.read_text(), re.S | re.M):
            exec(compile(code, document.name, "exec"), names)
            run.append(document.name)
    assert run[0] == "README.md"
    assert "performance.md" in run


def test_the_package_s_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = tts.__doc__.partition("\n\n")[2]
    assert "load_voice" in example
    exec(compile(example, "the docstring of tts", "exec"), {"tts": tts})
    assert [path.name for path in tmp_path.iterdir()] == ["472.wav"]


def test_the_tree_is_there():
    """Each path of README's annotated tree exists, and no module of a package is left out of it."""
    tree = re.search(r"## What is where\n+```\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree, "README has an annotated tree"
    parents: list[str] = []
    named = set()
    for line in tree[1].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name.rstrip("/")]
        named.add("/".join(parents))
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert missing == []
    modules = {
        str(p.relative_to(ROOT)) for room in ("tts", "data_recipes", "scripts") for p in (ROOT / room).rglob("*.py")
    }
    unnamed = {m for m in modules if not m.endswith(("__init__.py", "__main__.py", "_version.py"))} - named
    assert sorted(unnamed) == []
