"""Sound without a text, by a model that the kind `samples` trained: from silence, or on from a recording.

Letters: T samples, C context.
"""

import json
from pathlib import Path

import numpy as np
import torch

from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import is_file
from tts.lab import recordings, samples
from tts.lab.loop import CHECKPOINT
from tts.lab.sample_models import SampleModel
from tts.training import checkpoint


def load(folder: Path) -> tuple[SampleModel, samples.Settings]:
    """The model in a run's folder, in evaluation mode, and its settings.

    Raises: InputError where there is none, or one of another kind, or a damaged one.
    """
    if not (is_file(folder / CHECKPOINT) and is_file(folder / "settings.json")):
        raise InputError(
            f"{folder}: no run of a model without text is there; train one, e.g. `tts lab run music source=FOLDER`, "
            "and give the folder of a run, e.g. runs/lab/music/lstm"
        )
    try:
        settings = configs.build(samples.Settings, json.loads((folder / "settings.json").read_text())["settings"])
    except InputError as error:
        raise InputError(f"{folder}: not a run of the kind `samples` ({error}); give one, e.g. of music") from None
    model = samples.make_model(settings)
    model.load_state_dict(checkpoint.load(folder / CHECKPOINT).part("objective."))
    return model.eval(), settings


def seed_codes(model: SampleModel, settings: samples.Settings, start: Path | None) -> np.ndarray:
    """The codes that are continued, (T,) int64: of a recording, prepared as for training; without one a few of silence.

    Raises: InputError for a file that cannot be read or is shorter than what the model needs.
    """
    least = model.context + model.block
    if start is None:
        return np.full(least, model.q_levels // 2)
    wave = recordings.read_one(start, settings.sample_rate, settings.normalization, settings.zero_dc)
    if len(wave) < least:
        seconds = least / settings.sample_rate
        raise InputError(f"{start}: {len(wave)} samples to begin from; give at least {least} ({seconds:.3f} s)")
    config = settings.config
    return config.coding.encode(wave)


def generate(
    folder: Path, seconds: float, seed: int = 0, start: Path | None = None, temperature: float = 1.0
) -> tuple[np.ndarray, int]:
    """Sound of so many seconds, drawn from the seed; the same seed gives the same samples.

    Args: folder, of a run of the kind `samples`; start, a recording that it continues and that stands before it.

    Returns: wave (T,) float32 in [-1, 1], and its sample rate in Hz.

    Raises: InputError as `load` and `seed_codes`.
    """
    model, settings = load(folder)
    before = seed_codes(model, settings, start)
    count = round(seconds * settings.sample_rate)
    if count < 1:
        raise InputError(f"seconds is {seconds}; at {settings.sample_rate} Hz there must be a sample at least")
    generator = torch.Generator().manual_seed(seed)
    codes = model.generate(torch.from_numpy(before)[None], count, generator, temperature)[0].numpy()
    config = settings.config
    whole = codes if start is None else np.concatenate([before, codes])
    return config.coding.decode(whole), settings.sample_rate
