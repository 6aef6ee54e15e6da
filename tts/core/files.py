"""Paths that a user gives, and files that appear whole or not at all."""

import argparse
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from tts.core.errors import InputError
from tts.core.messages import one_line, reason

Kind = Literal["nothing", "file", "folder", "other"]
"""What lies at a path, links followed: "other" is a pipe, a device or a socket."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}
_SHOWN = 120  # characters of a path in a message
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EBADF: "send it to a file or a program",
    errno.EFBIG: "choose another place, or raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENAMETOOLONG: "give a shorter name",
}


# What lies at a path


def kind(path: str | Path) -> Kind:
    """What lies at a path, and "nothing" where something could be made.

    Raises InputError where no file can lie (a name that is empty, too long or holds a NUL character, a loop of links),
    or where it may not be asked; `Path.exists` raises OSError and ValueError then.
    """
    if not str(path):
        raise InputError("a path is empty; give the name of a file or folder")
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return "nothing"
        raise InputError(failure(error, path)) from None
    except ValueError as error:  # a NUL character, or one that the file system's encoding does not have
        raise InputError(f"{shown(path)} cannot be the name of a file ({reason(error)}); give another path") from None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def is_file(path: str | Path) -> bool:
    """Whether a regular file lies at the path: reading it ends, and does not wait. Raises InputError as `kind`."""
    return kind(path) == "file"


def is_folder(path: str | Path) -> bool:
    """Whether a folder lies at the path. Raises InputError as `kind`."""
    return kind(path) == "folder"


def check_new_file(path: Path, force: bool) -> None:
    """Raise InputError where a file cannot be written, or may not be replaced without `force`."""
    found = kind(path)
    if found in ("folder", "other"):  # which a file would replace
        what = "a folder" if found == "folder" else "a pipe or a device"
        raise InputError(f"cannot write {shown(path)}: it is {what}; give a file name")
    if not is_folder(path.parent):
        raise InputError(f"cannot write {shown(path)}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {shown(path)}: the folder {path.parent} is read-only; choose another")
    if found == "file" and not force:
        raise InputError(f"{shown(path)} exists; choose another name or give --force to replace it")


def check_folder(path: Path, name: str) -> None:
    """Raise InputError where a folder can neither be written to nor made; `name` is what messages call it: "--out"."""
    for place in (path, *path.parents):
        found = kind(place)
        if found == "folder":
            if not os.access(place, os.W_OK):
                raise InputError(f"{name} {shown(path)}: {place} is read-only; name another folder")
            return
        if found != "nothing":
            where = "is" if place == path else f"{place} is"
            raise InputError(f"{name} {shown(path)}: {where} a file; name a folder")


def path_text(text: str) -> str:
    """The `type` of an argparse argument that is a path or "-": refuses what can be no path, before any work."""
    try:
        kind(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def path_argument(text: str) -> Path:
    """`path_text`, as a Path."""
    return Path(path_text(text))


def failure(error: OSError, path: str | Path | None = None) -> str:
    """An error of the operating system in one line: where (None: as it says itself), what, and what to do."""
    where = error.filename if path is None else path
    where = os.fsdecode(where) if isinstance(where, bytes) else where
    remedy = _REMEDIES.get(error.errno or 0, "choose another path" if where is not None else "")
    place = f"{shown(str(where))}: " if where is not None else ""
    return f"{place}{error.strerror or reason(error)}{remedy and f'; {remedy}'}"


def shown(path: str | Path) -> str:
    """A path for a message: on one line; of a long one, its beginning and its end."""
    text = one_line(str(path))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 3 :]}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A context whose OSErrors name this path: a write to an open file fails without saying which."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


# Writing


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file under another name, flush it to the disk, and rename it; an older one stays until then.

    The file gets the permissions that the umask leaves, and the rename is on the disk, too, when this returns. Raises
    OSError where the folder is missing or full, or refuses the file; nothing is left behind.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files as `atomic_write` does one; none appears before all are on the disk, then one by one."""
    with ExitStack() as undo:
        renamed = []
        for path, data in contents.items():
            with naming(path):
                renamed.append((_written(path, data, undo), path))
        for temporary, path in renamed:
            with naming(path):
                temporary.replace(path)
        for folder in {path.parent for path in contents}:  # whose new entries are to survive a power cut
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _written(path: Path, data: bytes, undo: ExitStack) -> Path:
    """A file beside `path` that holds the data, and that `undo` removes if it is still there."""
    # Cut, so that the temporary name is not too long where the name itself is not: 4 x 32 bytes, and a few.
    # Not by `tempfile`, whose files are their owner's alone.
    temporary = path.parent / f".{path.name[:32]}.{os.urandom(8).hex()}"
    with temporary.open("xb") as file:
        undo.callback(temporary.unlink, missing_ok=True)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


@contextmanager
def new_folder(path: Path, whole: bool = False) -> Iterator[None]:
    """A context that makes a folder with its parents, unless it is there. Raises OSError where it cannot be made.

    An error inside removes those that it made, where they are empty; with `whole` also all that lies in the folder, if
    that was missing or empty before.
    """
    made: list[Path] = []
    whole = whole and is_empty(path)
    try:
        for folder in (*reversed(path.parents), path):
            with contextlib.suppress(FileExistsError):  # another process may be making the same ones
                if kind(folder) == "nothing":
                    folder.mkdir()
                    made.append(folder)
        path.mkdir(exist_ok=True)  # says so where no folder lies there
        yield
    except BaseException:  # also when interrupted
        if whole:
            remove_contents(path)
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # not empty: what lies there was meant to stay
                folder.rmdir()
        raise


def is_empty(path: Path) -> bool:
    """Whether a folder holds nothing, or is not there."""
    found = kind(path)
    return found == "nothing" or (found == "folder" and not any(path.iterdir()))


def remove_contents(folder: Path) -> None:
    """Remove all that lies in a folder, as far as that is possible."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
