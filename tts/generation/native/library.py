"""The compiled library: found, loaded, its instruction set chosen.

`scripts/build_engine.py` compiles it; installing the package does that, too.
"""

import ctypes
import functools
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from tts.core.errors import InputError

ISA_VARIABLE = "TTS_ENGINE_ISA"
"""The environment variable that forces an instruction set."""
X86 = ("v2", "v3", "v4")
"""x86-64's levels, each with all of those before it."""
VERSION = 7
"""`engine_version()` in engine.c: of the functions' arguments and of the packed weights."""
PATH = Path(__file__).parent / ("_engine" + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so"))


@functools.cache
def load(isa: str) -> SimpleNamespace:
    """The library's functions for an instruction set, by the names that they have in engine.c and comb.c."""
    library = _library()
    pointer, i32, i64, size = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t
    types: dict[str, tuple[object, list[object]]] = {
        "group_new": (pointer, [pointer, pointer, size, i32]),
        "group_free": (None, [pointer]),
        "group_begin": (i32, [pointer, i32, pointer, i64, i32, i64, i64, pointer, ctypes.c_double]),
        "group_run": (None, [pointer, i32, *[pointer] * 5]),
        "group_counts": (i64, [pointer, pointer]),
        "measure": (None, [pointer, *[i32] * 4, pointer]),
        "comb": (None, [*[pointer] * 4, i64, pointer, pointer]),
    }
    functions = SimpleNamespace()
    for name, (result, arguments) in types.items():
        function = getattr(library, f"{name}_{isa}")
        function.restype, function.argtypes = result, arguments
        setattr(functions, name, function)
    return functions


def usable() -> tuple[str, ...]:
    """The instruction sets that the library has and this processor can run, the best one last.

    Raises:
        InputError: there is no library for this machine, or its processor has none of the sets.
    """
    best = _library().engine_isa().decode()
    if not best:
        raise InputError("this processor is too old for the native engine (x86-64-v2, 2009); use --engine torch")
    return X86[: X86.index(best) + 1] if best in X86 else (best,)


def problem() -> str | None:
    """Why there is no library to use, in one line; None if there is one."""
    try:
        usable()
    except InputError as error:
        return str(error)
    return None


def chosen() -> str:
    """The instruction set to use: the one that `TTS_ENGINE_ISA` names, or the best.

    Raises:
        InputError: as `usable`; or the variable names one that is not among them.
    """
    sets = usable()
    forced = os.environ.get(ISA_VARIABLE, "")
    if forced and forced not in sets:
        raise InputError(f"{ISA_VARIABLE} is {forced!r}; this machine can run {', '.join(sets)}")
    return forced or sets[-1]


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(PATH))
        library.engine_isa.restype = ctypes.c_char_p
        if (found := library.engine_version()) != VERSION:
            raise OSError(f"{PATH} has version {found}, not {VERSION}")
    except (OSError, AttributeError) as error:
        reason = " ".join(str(error).split()) if PATH.exists() else f"{PATH} is missing"
        raise InputError(
            f"the native engine's library cannot be used ({reason}); install twotier-tts again, "
            "compile it by scripts/build_engine.py, or use --engine torch"
        ) from error
    return library
