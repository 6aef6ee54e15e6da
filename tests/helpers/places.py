"""A folder with something of each kind in it, what lies in a folder, and the one line of an error."""

from pathlib import Path

# What lies where the commands are run; see `place` in tests/core/conftest.py.
WAV, FOLDER, PIPE, DEVICE, LOOP = "a.wav", "folder.wav", "pipe.wav", "device.wav", "loop.wav"


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that lies in a folder: kind and permissions; when it was changed and what is in it, of all but folders."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        changed = 0 if path.is_dir() else status.st_mtime_ns  # a temporary file changes its folder
        found[str(path.relative_to(folder))] = (status.st_mode, changed, content)
    return found


def error_line(capsys) -> str:
    """The one line of standard error; nothing is on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert captured.err == f"{line}\n"
    return line
