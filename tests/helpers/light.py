"""A stand-in for the light install: processes that find no package but those that speaking needs."""

import os
import subprocess
import sys
from pathlib import Path

import tts

ROOT = Path(tts.__file__).parents[1]
"""Where the package under test lies: installed, or a checkout whose engine was compiled."""
ALLOWED = (
    *("numpy", "soundfile", "_soundfile", "_soundfile_data", "_cffi_backend", "cffi", "typing_extensions"),
    *("soxr", "safetensors", "yaml", "_yaml", "tts", "data_recipes"),
)
"""What `pip install .` brings: the dependencies of `pyproject.toml`, and what those need."""

_BLOCKER = f"""
import sys

class Blocker:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None and name not in sys.stdlib_module_names and name not in {ALLOWED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker)
"""


def run_light(folder: Path, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run python with these arguments, in `folder`, as the light install would; processes that it starts, too."""
    blocker = folder / "blocker"
    blocker.mkdir(exist_ok=True)
    (blocker / "sitecustomize.py").write_text(_BLOCKER)  # python imports it before anything else
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(blocker), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=check
    )
