"""What the documents say is true: commands parse, Python runs, files exist, links resolve, lines are short."""

import re
import shlex
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest

import tts
from tts.cli.main import make_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in DOCUMENTS if page.parent.name != "results" and page.name != "LOG.md"]
"""Those whose form is held; results and the log keep the words of their time."""

STARTS = ("tts ", "pip install", "accelerate launch", "ACCELERATE_USE_CPU=true accelerate launch")
CODE_PATH = re.compile(r"`((?:tts|data_recipes|scripts|tests|configs)/[\w./]*)`")
MAX_LINE = 120
MAX_WORDS = 100


def blocks(document, languages):
    """The fenced blocks of a document in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(), re.S | re.M)
    return [text for language, text in found if language in languages]


def commands():
    """The words after `tts` of every command in a fenced block, `scripts/train.py` being `tts train`."""
    for document in DOCUMENTS:
        for line in "\n".join(blocks(document, ("", "bash"))).splitlines():
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


def test_the_pages_install_what_exists():
    """Each extra in a `pip install` of a page is one of `pyproject.toml`, and README shows both installs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for page in DOCUMENTS for extra in re.findall(r"pip install [^\n`]*\[(\w+)\]", page.read_text())}
    assert named - set(extras) == set()
    assert {"train", "test", "dev"} <= named
    assert "pip install . && tts speak" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", [page for page in PAGES if blocks(page, ("python",))], ids=lambda path: path.name)
def test_python_blocks_run(document, tmp_path, monkeypatch):
    """As written, one block after the other in one empty folder."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(document, ("python",)):
        exec(compile(block, str(document), "exec"), names)
    if document.name == "README.md":
        assert (tmp_path / "472.wav").stat().st_size > 8000


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_anchors_are_headings(document):
    """A link to a part of a page names one of its headings."""
    for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", document.read_text()):
        page = document.parent / target if target else document
        if page.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_paths_in_the_text_exist(document):
    """Paths in back quotes, such as a module's, but for a placeholder in capital letters."""
    named = {path for path in CODE_PATH.findall(document.read_text()) if "NAME" not in path}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_package_s_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = tts.__doc__.partition("\n\n")[2]
    assert "load_voice" in example
    exec(compile(example, "the docstring of tts", "exec"), {"tts": tts})
    assert [path.name for path in tmp_path.iterdir()] == ["472.wav"]


def test_the_tree_shows_every_room():
    """Each path of README's annotated tree exists, and no room of the package is left out."""
    tree = re.search(r"## What is where\n.*?```\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert tree, "README has an annotated tree"
    parents: list[str] = []
    named = set()
    for line in tree[1].splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name.rstrip("/")]
        named.add("/".join(parents))
    assert sorted(path for path in named if not (ROOT / path).is_dir()) == []
    rooms = {f"tts/{path.parent.name}" for path in (ROOT / "tts").glob("*/__init__.py")}
    assert sorted(rooms - named) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_lines_and_paragraphs_are_short(page):
    text = page.read_text()
    long = [number for number, line in enumerate(text.splitlines(), 1) if len(line) > MAX_LINE]
    assert long == [], f"lines over {MAX_LINE} characters"
    prose = re.sub(r"^```.*?^```|<!--.*?-->\n", "", text, flags=re.S | re.M)
    paragraphs = [p for p in re.split(r"\n\s*\n", prose) if not p.lstrip().startswith(("|", "-", "1.", "---"))]
    assert [p[:60] for p in paragraphs if len(p.split()) > MAX_WORDS] == []
