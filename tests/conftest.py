"""Shared fixtures: where the real corpus lies, if it lies anywhere; a small voice."""

import os
from pathlib import Path
from typing import Any

# Before torch is imported: the tests share the cores among processes, not threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that the tests start find the package that is under test, not the sources in the folder where they start:
# there the engine is not compiled.
os.environ["PYTHONSAFEPATH"] = "1"

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


@pytest.fixture(scope="session")
def fsdd_recordings(fsdd_dir: Path) -> dict[str, list[Any]]:
    """FSDD's prepared recordings by split, read once in each process: that takes seconds. To be left unchanged."""
    from data_recipes.fsdd import build_recordings

    return build_recordings(fsdd_dir)


@pytest.fixture(scope="session")
def prompts_dir() -> Path:
    """Folder with Asterisk's prompts, VOICE/letters/NAME.g722; the test is skipped where there is none, or no PyAV."""
    pytest.importorskip("av", reason="needs PyAV, which reads G.722: pip install av")
    candidates = [
        Path(os.environ.get("ASTERISK_DIR", "")),
        Path(__file__).parents[2] / "shared" / "data" / "asterisk",
    ]
    for folder in candidates:
        if (folder / "fr_CA_f_June" / "letters").is_dir():
            return folder
    pytest.skip("needs Asterisk's core sounds as G.722: set ASTERISK_DIR to a folder of VOICE/letters/NAME.g722")


@pytest.fixture(scope="session")
def voice_folder(tmp_path_factory) -> Path:
    """A voice with the speakers ann and bob: untrained, so it makes noises, each at most 0.2 s a word."""
    import numpy as np
    import torch

    from tts.models.config import TwoTierConfig
    from tts.models.two_tier import TwoTier
    from tts.text.encoder import TextEncoderConfig
    from tts.text.normalize import SPOKEN
    from tts.voice import Voice

    torch.manual_seed(0)
    sizes = {
        "frame_size": 16,
        "dim": 16,
        "sample_dim": 16,
        "hist_size": 16,
        "word_dim": 8,
        "text_dim": 4,
        "n_speakers": 2,
    }
    config = TwoTierConfig(upsample_rank=0, duration="implicit", units_per_word=1, **sizes)
    voice = Voice.from_model(
        TwoTier(config),
        speakers=["ann", "bob"],
        sample_rate=8000,
        text_encoder=TextEncoderConfig(),
        word_vectors={word: np.eye(8, dtype=np.float32)[digit % 8] for word, digit in SPOKEN.items()},
        name="small",
        max_unit_seconds=0.2,
    )
    folder = tmp_path_factory.mktemp("voices") / "small"
    voice.save(folder, "# small\n")
    return folder
