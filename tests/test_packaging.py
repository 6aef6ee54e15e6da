"""The wheel and the sdist carry what speaking needs."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CARRIED = [
    "tts/voices/digits/config.json",
    "tts/voices/digits/model.safetensors",
    "tts/voices/digits/README.md",
    "tts/evaluation/weights/confidence.safetensors",
    "tts/evaluation/weights/recognizer.safetensors",
    "tts/evaluation/weights/recognizer.json",
    "tts/py.typed",
    "data_recipes/fsdd_sha256.txt",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names inside a wheel and an sdist built of a copy of the tree."""
    copy = tmp_path_factory.mktemp("copy") / "project"
    ignore = shutil.ignore_patterns(
        "__pycache__", "*.egg-info", "build", "dist", ".git", ".venv", "runs", "data", ".*_cache"
    )
    shutil.copytree(ROOT, copy, ignore=ignore)
    out = copy.parent / "out"
    out.mkdir()
    code = f"from setuptools import build_meta as b; b.build_wheel({str(out)!r}); b.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    return {"wheel": set(zipfile.ZipFile(wheel).namelist()), "sdist": names, "size": wheel.stat().st_size}


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_carries_the_voice(built, form):
    assert [name for name in CARRIED if name not in built[form]] == []


def test_the_wheel_carries_nothing_else(built):
    tops = {name.split("/")[0] for name in built["wheel"]}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tts", "data_recipes"}
    assert built["size"] < 20e6


def test_the_sdist_can_be_worked_on(built):
    for name in ("tests/conftest.py", "configs/tiny.yaml", "scripts/train.py", "docs/architecture.md", "LICENSE"):
        assert name in built["sdist"]


def test_the_voice_is_small():
    size = sum(path.stat().st_size for path in (ROOT / "tts" / "voices" / "digits").iterdir())
    assert size <= 16e6
