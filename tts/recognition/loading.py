"""What goes wrong with a recognizer's files, in one line; no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tts.core.errors import InputError
from tts.core.files import is_file


@contextmanager
def reading(folder: Path, *names: str) -> Iterator[None]:
    """A context that reads these files of a recognizer's folder.

    Raises: InputError if one is missing, or for whatever its content makes fail.
    """
    hint = "give a folder that scripts/train_recognizer.py wrote"
    for name in names:
        if not is_file(folder / name):
            if name.endswith(".onnx") and is_file(folder / "recognizer.safetensors"):
                hint = f"make it by scripts/export_recognizer.py {folder}"
            raise InputError(f"{folder}: no recognizer there (it has no {name}); {hint}")
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: no recognizer there ({error.strerror or error}); {hint}") from None
    except Exception as error:  # whatever is wrong inside the files, they are the user's
        detail = str(error).splitlines()[0][:200]
        raise InputError(f"{folder}: the recognizer is damaged ({detail}); train or copy it again") from None
