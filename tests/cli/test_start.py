"""What a command imports before it does its work: each module takes its share of the start."""

import subprocess
import sys


def test_help_imports_nothing_heavy():
    code = "import sys; from tts.cli.main import make_parser; make_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "transformers", "datasets", "soundfile"} & set(done.stdout.split())


SELDOM = {
    *("difflib", "tempfile", "logging", "concurrent.futures", "queue"),
    *("soundfile", "soxr", "yaml", "num2words", "onnxruntime", "huggingface_hub"),
    *("tts.text.number_words", "tts.core.yaml_files", "tts.audio.player", "tts.generation.torch_engine"),
}


def test_speaking_imports_only_what_it_needs(tmp_path, voice_folder):
    code = (
        "import sys; from tts.cli.main import main; "
        f"main(['speak', '4', '-o', 'x.wav', '--voice', {str(voice_folder)!r}]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"torch", "transformers", "datasets"} & loaded
    assert "tts.generation.native.engine" in loaded
    # What only mistakes, other files, other numbers or several threads need: each would take its share of the start.
    assert not SELDOM & loaded
