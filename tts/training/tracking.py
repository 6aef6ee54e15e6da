"""Tracked metrics as JSON lines, beside accelerate's tensorboard events."""

import json
import os
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process

from tts.core.files import atomic_write


class JsonLinesTracker(GeneralTracker):
    """One JSON object a line in `metrics.jsonl`: "step" and the logged values."""

    name = "jsonl"
    requires_logging_directory = True

    @on_main_process
    def __init__(self, folder: Path, resume_step: int = 0) -> None:
        super().__init__()
        self.path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        drop_lines_after(self.path, resume_step)

    @property
    def tracker(self) -> Path:
        """The file."""
        return self.path

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Append a line, on the disk before this returns."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def drop_lines_after(path: Path, step: int) -> None:
    """Rewrite a `metrics.jsonl` without the lines after a checkpoint's step, which a resumed run repeats."""
    kept = [line for line in read_lines(path) if line["step"] <= step]
    atomic_write(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`, without what a killed run left half-written."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:  # the line that a killed run was writing
            break
    return lines
