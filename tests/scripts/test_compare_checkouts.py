"""scripts/compare_checkouts.py: two checkouts in one run, and what is refused."""

import re
import shutil
import sys
from pathlib import Path

import compare_checkouts
import pytest

import tts

PACKAGE = Path(tts.__file__).parent


def compared(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare_checkouts.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        compare_checkouts.main()
    return end.value.code, *capsys.readouterr()


@pytest.fixture
def slow(tmp_path):
    """A package that speaks four samples, by a busy loop of a millisecond each."""
    (tmp_path / "tts").mkdir()
    (tmp_path / "tts" / "__init__.py").write_text(
        "import time\n"
        "class Audio: samples = [0, 0, 0, 0]\n"
        "class Voice:\n"
        "    def speak(self, text, seed):\n"
        "        end = time.thread_time() + 0.004\n"
        "        while time.thread_time() < end: pass\n"
        "        return Audio()\n"
        "    def speak_each(self, texts, seeds): return [self.speak(text, seed) for text, seed in zip(texts, seeds)]\n"
        "def load_voice(name='mine'): return {'mine': Voice()}[name]\n"
    )
    return tmp_path


@pytest.mark.parametrize("streams", [1, 3])
def test_compare(monkeypatch, capsys, slow, streams):
    own = PACKAGE.parent
    code, out, err = compared(
        monkeypatch, capsys, f"now={own}", f"slow={slow}", "--rounds", 2, "--text", "4", "--streams", streams
    )
    assert (code, err) == (0, "")
    now, other = out.splitlines()
    assert re.fullmatch(r"now: median [\d,]+ ns a sample", now)
    found = re.fullmatch(r"slow: median ([\d,]+) ns a sample; now is ([\d.]+) \(.*\) times as fast", other)
    assert 900_000 < int(found[1].replace(",", "")) < 3_000_000
    assert float(found[2]) > 10


def test_a_voice_and_a_python_of_its_own(monkeypatch, capsys, slow):
    program = slow / "python"
    program.write_text(f'#!/bin/sh\necho used > {slow}/used\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    shutil.copytree(PACKAGE / "voices" / "digits", slow / "voice")
    monkeypatch.chdir(slow)
    code, out, _ = compared(
        monkeypatch, capsys, f"a={PACKAGE.parent}", f"b={PACKAGE.parent}", "--rounds", 2, "--text", "4",
        "--voice", f"a={slow / 'voice'}", "--python", "b=./python",
    )  # fmt: skip
    assert code == 0
    assert len(out.splitlines()) == 2
    assert (slow / "used").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["now"], "now: give NAME=FOLDER, each name once"),
        (["a=.", "a=."], "give NAME=FOLDER, each name once"),
        (["a=/nowhere"], "a=/nowhere has no package tts"),
        (["a=.", "--voice", "b=x"], "there is no checkout b; there are a"),
        (["a=.", "--rounds", "1"], "--rounds 1, --streams 1: give at least 2 and 1"),
        (["a={slow}", "--voice", "a=other"], "a cannot load its voice"),
    ],
)
def test_mistakes(monkeypatch, capfd, slow, arguments, message):
    code, _, err = compared(monkeypatch, capfd, *(argument.format(slow=slow) for argument in arguments))
    assert code == 2
    assert message in err.splitlines()[-1]
