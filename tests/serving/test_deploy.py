"""scripts/deploy/ names files, commands, flags and extras that exist."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tts.cli.main import make_parser
from tts.serving.run import DRAIN_SECONDS
from tts.serving.settings import KEY_VARIABLE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "scripts" / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_containerfile():
    text = (DEPLOY / "Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    words = {name: [shlex.split(line)[1:] for line in lines if line.startswith(name)] for name in ("COPY", "EXPOSE")}
    sources = {source.rstrip("/") for copy in words["COPY"] if "--from=build" not in copy for source in copy[:-1]}
    assert all((ROOT / source).exists() for source in sources)
    needed = {"pyproject.toml", "setup.py", PROJECT["readme"], *PROJECT["license-files"], "scripts/build_engine.py"}
    assert needed | {"tts", "data_recipes"} <= sources
    assert set(re.findall(r"\)\[(\w+)\]", text)) == {"serve"} <= set(PROJECT["optional-dependencies"])
    entry, command = (json.loads(re.search(rf"^{name} (\[.*)$", text, re.M)[1]) for name in ("ENTRYPOINT", "CMD"))
    assert entry[0] in PROJECT["scripts"]
    arguments = make_parser().parse_args([*entry[1:], *command])
    assert words["EXPOSE"] == [[str(arguments.port)]]
    assert f"127.0.0.1:{arguments.port}/ready" in text and KEY_VARIABLE in text
    assert text.index("\nUSER 10001") > text.rindex("\nRUN")


KEPT = ["onnxruntime/capi/module.py", "onnxruntime/LICENSE", "numpy/core.py", "av.libs/libavcodec.so.62"]
REMOVED = ["numpy/core.pyi", "numpy/tests/test_core.py", "numpy/f2py/main.py", "onnxruntime/tools/convert.py"]
REMOVED += ["onnxruntime/capi/libonnxruntime.so.1.32.0", "numpy/__pycache__/core.pyc", "av/codec.pxd"]


def test_strip(tmp_path):
    for name in KEPT + REMOVED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    subprocess.run([DEPLOY / "strip.sh", tmp_path], check=True)
    assert sorted(str(x.relative_to(tmp_path)) for x in tmp_path.rglob("*") if x.is_file()) == sorted(KEPT)


def test_strip_refuses_another_folder(tmp_path):
    (tmp_path / "a.pyi").touch()
    done = subprocess.run([DEPLOY / "strip.sh", tmp_path], capture_output=True, text=True)
    assert (done.returncode, "no onnxruntime" in done.stderr, (tmp_path / "a.pyi").exists()) == (2, True, True)


def unit():
    text = (DEPLOY / "twotier-tts.service").read_text()
    parsed = configparser.ConfigParser(strict=False, delimiters="=", interpolation=None)
    parsed.optionxform = str
    parsed.read_string(text)
    return text, parsed["Service"]


def test_systemd_unit():
    text, service = unit()
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name in PROJECT["scripts"] and str(Path(program).parent) in text.partition("[Unit]")[0]
    assert make_parser().parse_args(arguments).host == "127.0.0.1"
    assert int(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert KEY_VARIABLE in text and service["EnvironmentFile"].lstrip("-") in text.partition("[Unit]")[0]
    assert "scripts/deploy/twotier-tts.service" in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_knows_every_line(tmp_path):
    text, service = unit()
    file = tmp_path / "twotier-tts.service"
    file.write_text(text.replace(shlex.split(service["ExecStart"])[0], sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_finds_little_to_protect():
    """Exposure: 0 is best, 10 worst. Each line that is left out of the unit adds to it."""
    options = ["--offline=true", "--threshold=14", "--no-pager"]
    done = subprocess.run(
        ["systemd-analyze", "security", *options, DEPLOY / "twotier-tts.service"], capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()
