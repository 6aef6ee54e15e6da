"""Folders in which commands are run."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.places import DEVICE, FOLDER, LOOP, PIPE, WAV

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory, voice_folder):
    """A folder with something of each kind in it. No test may change it."""
    folder = tmp_path_factory.mktemp("place")
    soundfile.write(folder / WAV, np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    (folder / FOLDER).mkdir()
    os.mkfifo(folder / PIPE)
    (folder / DEVICE).symlink_to("/dev/zero")
    (folder / LOOP).symlink_to(LOOP)
    (folder / "voice").symlink_to(voice_folder)
    (folder / "m.csv").write_text("path,text\na.wav,4\n")
    for name in ("ablations.yaml", "recognizer.yaml"):
        (folder / name).write_text((ROOT / "configs" / name).read_text())
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path
