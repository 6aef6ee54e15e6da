"""What the light install leaves out, and the line that says how to add it."""

import importlib.util
import sys

from tts.core.errors import InputError


def missing(*modules: str) -> str | None:
    """The first of these top-level modules that is not installed; None if all are. Imports none of them."""
    return next((module for module in modules if not _is_installed(module)), None)


def install_command(extra: str) -> str:
    """The command that adds an extra of the package, also from a checkout."""
    return f'pip install "twotier-tts[{extra}]" (in a checkout: pip install ".[{extra}]")'


def require(extra: str, *modules: str) -> None:
    """Check that modules which only an extra installs are there.

    Args:
        extra: its name in `pyproject.toml`, e.g. "train".
        modules: top-level modules that are about to be imported.

    Raises:
        InputError: one of them is not installed.
    """
    if module := missing(*modules):
        raise InputError(f"this needs {module}, which is not installed; run: {install_command(extra)}")


def _is_installed(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None  # None: its import is blocked
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
