"""A small model, a synthetic corpus whose "digits" are tones, and a run on them."""

import json
from pathlib import Path

import numpy as np
import torch

from data_recipes.sequences import Sequence
from tts.models.config import TwoTierConfig
from tts.models.two_tier import TwoTier
from tts.training.batches import Collate
from tts.training.config import LossConfig, RunConfig, TrainConfig, ValidationConfig
from tts.training.data import TrainingData
from tts.training.losses import Objective

MODEL = TwoTierConfig(
    frame_size=16,
    dim=48,
    sample_dim=32,
    hist_size=16,
    word_dim=10,
    text_dim=8,
    n_speakers=2,
    clock_frames=64,
    upsample_rank=0,
    duration="implicit",
    units_per_word=1,
)


def vectors(texts):
    return [np.eye(10, dtype=np.float32)[[int(word) for word in text]] for text in texts]


def tone(digits, seed, speaker="a"):
    """Each digit 50-60 ms of its own frequency."""
    rng = np.random.default_rng(seed)
    parts = []
    for digit in digits:
        t = np.arange(rng.integers(400, 480)) / 8000
        parts.append(0.3 * np.sin(2 * np.pi * (200 + 100 * digit) * t) * np.hanning(len(t)))
    audio = np.concatenate(parts).astype(np.float32) + rng.normal(0, 2e-4, sum(map(len, parts))).astype(np.float32)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    text = " ".join(map(str, digits))
    return Sequence(audio, text, text.split(), speaker, ["x"] * len(digits), ends, 8000, "seen")


class Tones:
    def __getitem__(self, index):
        rng = np.random.default_rng([3, index])
        return tone(rng.integers(0, 4, 1 + index % 2).tolist(), index, "ab"[index % 2])


def data(stream=None, model=MODEL):
    collate = Collate(model, ("a", "b"), vectors)
    validation = [Tones()[10_000 + i] for i in range(3)]
    return TrainingData(stream or Tones(), validation, ("a", "b"), vectors, 8000, collate)


def run_config(folder: Path, model: TwoTierConfig = MODEL, **options) -> RunConfig:
    settings = {"steps": 8, "batch_size": 2, "precision": "fp32", "warmup_steps": 2, "log_every": 1,
                "validate_every": 4, "checkpoint_every": 2, "lr": 3e-3, "final_lr": 0.0,
                "frame_dropout": 0.0, "word_noise": 0.0, "pause_corruption": 0.0}  # fmt: skip
    return RunConfig(
        output=folder,
        model=model,
        loss=LossConfig(frame_share=0.5, spectral_offsets=(1, 2), n_mels=8, n_fft=64),
        train=TrainConfig(**{**settings, **options}),
        validation=ValidationConfig(spoken=0),
    )


def metrics(folder: Path, key: str = "train/nll_bits") -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[key] for line in lines if key in line}


def objective(model=MODEL, **options):
    torch.manual_seed(0)
    return Objective(TwoTier(model), LossConfig(spectral_offsets=(1, 2), n_mels=8, n_fft=64, **options), 8000)
