"""What the light install leaves out, and the line that says how to add it."""

import importlib.util
import os
import sys

from tts.core.errors import InputError


def missing(*modules: str) -> str | None:
    """The first of these top-level modules that is not installed; None if all are. Imports none of them."""
    for module in modules:
        try:  # None in `sys.modules` blocks an import; so does a hook that raises
            found = sys.modules[module] if module in sys.modules else importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            return module
    return None


def install_command(extra: str) -> str:
    """The command that adds an extra of the package, also from a checkout."""
    return f'pip install "twotier-tts[{extra}]" (in a checkout: pip install ".[{extra}]")'


def require(extra: str, *modules: str) -> None:
    """Raise InputError where one of these top-level modules, which `extra` of `pyproject.toml` installs, is missing.

    Also keeps the extras offline: call it before they are imported.
    """
    if module := missing(*modules):
        raise InputError(f"this needs {module}, which is not installed; run: {install_command(extra)}")
    # onnxruntime 1.32 otherwise stores an identifier of this machine, and sends what it was used for to its makers.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
