"""Two gloo processes in a fresh interpreter.

`accelerate.debug_launcher` forks. A fork of the tests' own process has its parent's OpenMP pool without its threads,
and waits for them forever at the first operation that uses it.
"""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parents[1]
CODE = """
import importlib.util, sys
from accelerate import debug_launcher

file, name, *arguments = sys.argv[1:]
spec = importlib.util.spec_from_file_location("launched", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
debug_launcher(getattr(module, name), args=tuple(arguments), num_processes=2)
"""


def in_two_processes(function: Callable[..., object], *arguments: str) -> None:
    """Call a test module's function with these texts in each of two processes."""
    path = os.pathsep.join([str(TESTS), *sys.path])
    command = [sys.executable, "-c", CODE, str(inspect.getsourcefile(function)), function.__name__, *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
