"""The folder of a run: one training at a time uses it, and one that fails before its first step leaves nothing."""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tts.core.errors import InputError
from tts.core.files import new_folder

LOCK = ".lock"
_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


@dataclass
class RunFolder:
    """A run's folder while a training uses it."""

    keep: bool = False
    """Whether to keep what is in it after an error: set once a step is done."""


@contextmanager
def opened(path: Path) -> Iterator[RunFolder]:
    """Make a run's folder and lock it. If an exception ends the block while `keep` is False, all that the block made is
    removed.

    Raises InputError: the folder cannot be made, or another process trains in it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(new_folder(path))
        except (OSError, InputError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot make the folder {path}: {reason}; give another output=FOLDER") from error
        before = set(path.iterdir())
        stack.enter_context(_locked(path))
        folder = RunFolder()
        try:
            yield folder
        except BaseException:
            new = set() if folder.keep else set(path.iterdir()) - before - {path / LOCK}
            for entry in new:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)
            raise


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the folder's lock. The system releases it with the process, however that ends; the lock file of a killed
    process does not lock."""
    lock = path / LOCK
    handle = _acquire(lock)
    _held.add(handle)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()  # while it is held, see _acquire
        _held.discard(handle)
        os.close(handle)


def _acquire(lock: Path) -> int:
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"cannot write in {lock.parent}: {error.strerror}; give another output=FOLDER") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(
                f"another process trains in {lock.parent}; wait until it ends, or give another output=FOLDER"
            ) from error
        except OSError as error:
            print(f"tts: warning: {lock.parent} cannot be locked ({error.strerror}); train in it once at a time",
                  file=sys.stderr)  # fmt: skip
            return handle
        # Its holder may have removed the file since it was opened here, and another process may have made a new one.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)


def _close_in_child() -> None:
    """A forked loader worker outlives a killed training by seconds; it must not keep the lock."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
