"""A manifest: which audio files are evaluated, and what each of them says."""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts import audio
from tts.core.errors import InputError
from tts.core.files import is_file, is_folder, kind
from tts.core.messages import shown
from tts.text.normalize import any_words, is_digits


@dataclass(frozen=True)
class FileRow:
    """One line of a manifest: a file and what it says."""

    path: Path
    text: str
    speaker: str


def read_manifest(manifest: Path, folder: Path) -> list[FileRow]:
    """The rows of a manifest: CSV with a header, or JSON lines where the name ends in .jsonl.

    Each has `path` (relative to `folder`), `text` and maybe `speaker`. Raises: InputError for a manifest that cannot be
    read, is empty, or lacks a column; a text with words that the recognizer does not know; a file that is missing or
    not audio.
    """
    if not is_folder(folder):
        raise InputError(f"--wav-dir {folder}: no such folder")
    if not is_file(manifest):
        raise InputError(f"{manifest}: cannot be read, no file is there; give a CSV or .jsonl file in UTF-8")
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{manifest}: cannot be read ({error}); give a CSV or .jsonl file in UTF-8") from None
    rows = []
    for number, row in _manifest_rows(manifest, text):
        where = f"{manifest}, row {number}"
        for name in ("path", "text"):
            if not isinstance(row.get(name), str) or not row[name].strip():
                raise InputError(f"{where}: has no {name}; each row needs path and text")
        path = folder / row["path"]
        try:
            if strange := [word for word in any_words(row["text"]) if not is_digits([word])]:
                raise InputError(f"says {shown(strange[0])}, and the recognizer knows digits only; leave the row out")
            kind(path)  # refuses what can be no path
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        audio.read(path)  # all files before the first is judged
        rows.append(FileRow(path, row["text"], str(row.get("speaker") or "unknown")))
    if not rows:
        raise InputError(f"{manifest}: has no rows; give one for each file, with path and text")
    return rows


def _manifest_rows(manifest: Path, text: str) -> Iterable[tuple[int, dict[str, Any]]]:
    if manifest.suffix.lower() != ".jsonl":
        try:
            yield from enumerate(csv.DictReader(text.splitlines()), 1)
        except csv.Error as error:
            raise InputError(f"{manifest}: is not CSV ({error}); write a header path,text and one file a row") from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{manifest}, row {number}: is no JSON object; write one a line")
        yield number, row
