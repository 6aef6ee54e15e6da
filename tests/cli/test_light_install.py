"""`pip install .` without extras: what works, and what says in one line how to install the rest.

The processes here find numpy, soundfile, soxr, safetensors and pyyaml alone; `.ci/run` does the same in a real
environment.
"""

import json
import sys

import pytest
from helpers.light import run_light

from tts.core.errors import InputError
from tts.core.extras import install_command, missing, require

PIP = 'pip install "twotier-tts[train]"'


def test_the_stand_in_blocks_what_is_installed_here(tmp_path):
    done = run_light(tmp_path, "-c", "import torch")
    assert "ModuleNotFoundError: No module named 'torch'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["voices"],
        ["data", "build", "--help"],
        ["train", "--help"],
        ["recognize", "--help"],
        ["serve", "--help"],
        ["evaluate", "--help"],
        ["bench", "--help"],
        ["bench", "train", "--help"],
        ["speak", "4 7 2", "-o", "472.wav"],
        ["speak", "4", "-o", "4.flac", "--engine", "native"],
    ],
    ids=" ".join,
)
def test_what_works_without_extras(tmp_path, arguments):
    done = run_light(tmp_path, "-m", "tts", *arguments)
    assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr
    written = [argument for argument in arguments if argument.endswith((".wav", ".flac"))]
    assert all((tmp_path / name).stat().st_size > 1000 for name in written)


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "list"],
        ["data", "build", "fsdd", "--out", "x"],
        ["train", "configs/tiny.yaml"],
        ["evaluate", "--out", "x"],
        ["bench", "train"],
        ["speak", "4", "-o", "x.wav", "--engine", "torch"],
        ["speak", "4", "-o", "x.wav", "--voice", "owner/name"],
    ],
    ids=" ".join,
)
def test_what_needs_the_extra_says_how_to_install_it(tmp_path, arguments):
    done = run_light(tmp_path, "-m", "tts", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tts: error: this needs ")
    assert PIP in line
    assert [path.name for path in tmp_path.iterdir()] == ["blocker"]


@pytest.mark.parametrize(("command", "module"), [("recognize 472.wav", "onnxruntime"), ("serve", "fastapi")])
def test_the_commands_of_the_extra_serve(tmp_path, command, module):
    done = run_light(tmp_path, "-m", "tts", *command.split())
    assert done.returncode == 2
    assert done.stderr.startswith(f"tts: error: this needs {module}, which is not installed; run: pip install ")
    assert "twotier-tts[serve]" in done.stderr


@pytest.mark.parametrize(
    "call",
    [
        "tts.load_voice().model()",
        "tts.load_voice().speak('4', engine='torch')",
        "next(tts.load_voice().stream('4', engine='torch'))",
        "TextEncoder(TextEncoderConfig())",
        "TextEncoder(TextEncoderConfig(name='owner/name'))",
    ],
)
def test_python_calls_that_need_the_extra_raise_an_input_error(tmp_path, call):
    code = f"""
import tts
from tts.core.errors import InputError
from tts.text.encoder import TextEncoder, TextEncoderConfig
try:
    {call}
except InputError as error:
    print(error)
"""
    assert PIP in run_light(tmp_path, "-c", code, check=True).stdout


def test_python_speaks_without_the_extra(tmp_path):
    code = (
        "import tts; voice = tts.load_voice(); "
        "print(len(voice.speak('4 7 2', seed=1).samples), len(list(voice.stream('4'))))"
    )
    samples, chunks = run_light(tmp_path, "-c", code, check=True).stdout.split()
    assert int(samples) > 4000
    assert int(chunks) > 1


def test_import_tts_imports_numpy_at_most(tmp_path):
    code = "import sys; before = set(sys.modules); import tts; print(*sorted(set(sys.modules) - before))"
    loaded = {name.partition(".")[0] for name in run_light(tmp_path, "-c", code, check=True).stdout.split()}
    assert "tts" in loaded
    assert loaded - set(sys.stdlib_module_names) <= {"tts", "numpy"}


def test_bench_without_the_extra(tmp_path, voice_folder):
    """Native rows are measured; torch's say what they need, which is no failure."""
    flags = ["--voice", str(voice_folder), "--seconds", "0.01", "--rows", "native,torch,torch-many", "--out", "b.json"]
    done = run_light(tmp_path, "-m", "tts", "bench", *flags)
    assert done.returncode == 0, done.stderr
    native, *of_torch = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert native["samples_per_second"] > 0
    assert [PIP in row["unavailable"] for row in of_torch] == [True, True]
    assert done.stdout.count("unavailable: it needs torch") == 2


def test_require(monkeypatch):
    require("train", "numpy", "json")
    monkeypatch.setitem(sys.modules, "jiwer", None)
    assert missing("numpy", "jiwer", "no_such_module") == "jiwer"
    with pytest.raises(InputError, match="this needs no_such_module, which is not installed; run: pip install"):
        require("play", "numpy", "no_such_module")
    assert install_command("play") == 'pip install "twotier-tts[play]" (in a checkout: pip install ".[play]")'
