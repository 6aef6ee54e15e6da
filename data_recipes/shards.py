"""A dataset's shards: written by several processes, each whole or not at all, and resumed after an interruption.

Beside the finished folder OUT lies, while it is built, `.OUT.partial`: plan.json (what is built), the shards, and for
each finished one a file with its row count, its facts and its checksum. A later build with the same plan keeps the
shards whose checksum holds, and writes the others.
"""

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from tts.core.errors import InputError
from tts.core.files import atomic_write, failure, kind

Facts = dict[str, Any]
Rows = Callable[[int, int], Iterable[Any]]
"""A split's rows from one index up to another."""
Write = Callable[[Iterable[Any], Path], Facts]

PLAN_FILE, LOCK_FILE, DONE = "plan.json", "lock", ".done.json"


class Shard(NamedTuple):
    """One file of a split: its place in the folder, and its rows."""

    split: str
    path: str
    start: int
    stop: int


@contextlib.contextmanager
def partial_folder(out: Path, plan: str) -> Iterator[Path]:
    """A context with the folder in which `out` is built; finished shards of the same plan are in it.

    After an error it stays if a shard in it is finished, and the message says so. Raises: InputError where the disk
    refuses, or another process builds the same folder.
    """
    folder = out.parent / f".{out.name[:200]}.partial"
    try:
        with contextlib.ExitStack() as stack:
            folder.mkdir(exist_ok=True)
            lock = stack.enter_context((folder / LOCK_FILE).open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{out}: another process is building it; wait for it, or name another --out") from None
            stack.callback(_remove_unless_useful, folder)
            _prepare(folder, plan)
            yield folder
    except OSError as error:
        kept = len(list(folder.glob(f"data/*{DONE}"))) if kind(folder) == "folder" else 0
        rest = f"; {kept} finished shards are kept in {folder}: run again to resume" if kept else "; nothing was kept"
        raise InputError(f"cannot write {failure(error, out)}{rest}") from None


def _prepare(folder: Path, plan: str) -> None:
    """Keep the finished shards of the same plan; remove all others, and what a killed process left half-written."""
    for unfinished in [*folder.glob(".*"), *folder.glob("data/.*")]:
        unfinished.unlink()
    path = folder / PLAN_FILE
    if kind(path) != "file" or path.read_text(encoding="utf-8") != plan:
        for entry in folder.iterdir():
            if entry.name != LOCK_FILE:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        atomic_write(path, plan.encode())


def _remove_unless_useful(folder: Path) -> None:
    if kind(folder) == "folder" and not any(folder.glob(f"data/*{DONE}")):
        shutil.rmtree(folder, ignore_errors=True)


def finish(folder: Path) -> None:
    """Remove what only the build needs, before the folder gets its final name."""
    for path in [*folder.glob(f"data/*{DONE}"), folder / PLAN_FILE, folder / LOCK_FILE]:
        path.unlink(missing_ok=True)


def write_shards(
    shards: Sequence[Shard], rows: Mapping[str, Rows], write: Write, folder: Path, num_proc: int
) -> dict[Shard, Facts]:
    """Write the shards that are not finished; returns the facts of all, in order.

    Args: rows, by split; write, which writes rows to a file and returns facts about them, JSON types only.

    Raises: InputError if a process ends early; OSError where the disk refuses; what `rows` and `write` raise.
    """
    found = {shard: facts for shard in shards if (facts := _finished(folder, shard)) is not None}
    if found:
        print(f"{len(found)} of {len(shards)} shards are there from an earlier build", file=sys.stderr)
    missing = [shard for shard in shards if shard not in found]
    with tqdm(total=sum(shard.stop - shard.start for shard in shards), desc="write", unit="row") as bar:
        bar.update(sum(shard.stop - shard.start for shard in found))
        for shard, facts in _written(missing, rows, write, folder, num_proc):
            found[shard] = facts
            bar.update(shard.stop - shard.start)
    return {shard: found[shard] for shard in shards}


def _written(
    shards: Sequence[Shard], rows: Mapping[str, Rows], write: Write, folder: Path, num_proc: int
) -> Iterator[tuple[Shard, Facts]]:
    if num_proc <= 1 or len(shards) <= 1:
        for shard in shards:
            yield shard, _write(shard, rows[shard.split], write, folder)
        return
    # Forked, so that the processes share the recordings in memory; `_JOB` is how they get what cannot be pickled.
    global _JOB
    _JOB = rows, write, folder
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(min(num_proc, len(shards)), context, _in_worker, (os.getpid(),)) as pool:
            futures = {pool.submit(_write_of_job, shard): shard for shard in shards}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise InputError(
            f"a process that wrote shards ended early (killed, or out of memory); finished shards are in {folder}: "
            "run again to resume, with a smaller --num-proc if memory is short"
        ) from None
    finally:
        _JOB = None


_JOB: tuple[Mapping[str, Rows], Write, Path] | None = None


def _in_worker(parent: int) -> None:
    """Drop the shard at hand where interrupted, and end with the process that waits for all, even if that is killed:
    else the folder would stay locked."""
    signal.signal(signal.SIGINT, _stop)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Worker:
    """What a process that writes shards knows of itself."""

    writing = stopped = False


def _stop(*_: object) -> None:
    _Worker.stopped = True
    if _Worker.writing:
        raise KeyboardInterrupt


def _write_of_job(shard: Shard) -> Facts:
    assert _JOB is not None
    rows, write, folder = _JOB
    if _Worker.stopped:
        raise KeyboardInterrupt
    _Worker.writing = True
    try:
        return _write(shard, rows[shard.split], write, folder)
    finally:
        _Worker.writing = False


def _write(shard: Shard, rows: Rows, write: Write, folder: Path) -> Facts:
    path = folder / shard.path
    unfinished = path.with_name(f".{path.name}")
    try:
        facts = write(rows(shard.start, shard.stop), unfinished)
        assert facts["rows"] == shard.stop - shard.start, (shard, facts)
        facts["sha256"] = _digest(unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
        atomic_write(path.with_name(path.name + DONE), json.dumps(facts).encode())
    finally:
        unfinished.unlink(missing_ok=True)
    return facts


def _finished(folder: Path, shard: Shard) -> Facts | None:
    """What is known of a shard that is there whole."""
    path = folder / shard.path
    try:
        facts: Facts = json.loads(path.with_name(path.name + DONE).read_text(encoding="utf-8"))
        if facts["sha256"] == _digest(path):
            return facts
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path.with_name(path.name + DONE).unlink(missing_ok=True)
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
