"""Shared fixtures: where the real corpus lies, if it lies anywhere."""

import os
from pathlib import Path

# Before torch is imported: the tests share the cores among processes, not threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session")
def fsdd_dir() -> Path:
    """Folder with FSDD's `{digit}_{speaker}_{take}.wav` files; the test is skipped where there is none."""
    candidates = [
        Path(os.environ.get("FSDD_DIR", "")),
        Path(__file__).parents[2] / "shared" / "data" / "fsdd" / "recordings",
    ]
    for folder in candidates:
        if (folder / "0_jackson_0.wav").is_file():
            return folder
    pytest.skip("needs the Free Spoken Digit Dataset: set FSDD_DIR to its recordings/ folder")
