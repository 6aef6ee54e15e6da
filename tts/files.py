"""Files that appear whole or not at all. Ground floor: every room may import it."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name, flush it to the disk, and rename it; an older one stays until then.

    The file gets the permissions that the umask leaves, and the rename is on the disk, too, when this returns.

    Raises:
        OSError: the folder is missing or full, or refuses the file; nothing is left behind.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())  # a temporary file is its owner's alone
            temporary.replace(path)
        except BaseException:  # also when interrupted
            temporary.unlink(missing_ok=True)
            raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
