"""What each part of the training is worth: one part changed at a time, at equal compute, in one table and one plot.

    python scripts/ablate.py configs/ablations.yaml data.source=FSDD --out runs/ablations

Trains the variants one after another, each with the steps that give its training the base's number of multiply-adds
(`tts.training.compute`), has each voice say the same held-out texts, and reads them back. A variant is `OUT/NAME/`.
What is done is not done again, and an interrupted run is resumed. `--only NAME,NAME` trains and judges these alone, so
that several processes can share the work; whoever comes last writes OUT/ablations.md, .json and .png of what is there.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tts.cli.train import train
from tts.core.console import script
from tts.core.plots import png
from tts.core.tables import markdown_table, percent_cell
from tts.evaluation import trainings
from tts.evaluation.plots import errors_and_spreads
from tts.evaluation.trainings import Comparison
from tts.recognition.model import Recognizer
from tts.training.compute import multiply_adds
from tts.training.config import RunConfig

BASE = "base"
SPLITS = ("test_unseen", "words")
"""Combinations that training never has, and seen ones as number words."""
SPECTRAL_SAMPLES = (64, 192, 384)
"""How far ahead the spectral loss looks, whatever the frame size: frames 2, 6 and 12 of 32 samples."""
CLOCK_SAMPLES = 10240


def frame_size(size: int) -> tuple[str, ...]:
    """The overrides that change the frame size, and leave alone what is meant in seconds."""
    offsets = ",".join(str(max(1, samples // size)) for samples in SPECTRAL_SAMPLES)
    clock = f"model.clock_frames={CLOCK_SAMPLES // size}"
    return f"model.frame_size={size}", clock, f"loss.spectral_offsets=[{offsets}]"


VARIANTS: dict[str, tuple[str, ...]] = {
    BASE: (),
    **{f"seed {seed}": (f"seed={seed}",) for seed in (1, 2)},
    "denoised recordings": ("data.recordings.denoise_db=15",),
    "whole words": ("model.units_per_word=1",),
    "pauses corrupted": ("train.pause_corruption=0.1",),
    "implicit durations": ("model.duration=implicit",),
    "no spectral loss": ("loss.spectral_weight=0",),
    "next-frame cost instead": ("loss.spectral_weight=0", "loss.next_frame_weight=1"),
    "no frame dropout": ("train.frame_dropout=0",),
    "frame dropout 0.5": ("train.frame_dropout=0.5",),
    "word noise 1": ("train.word_noise=1",),
    "all frames in the loss": ("loss.frame_share=1",),
    "full-rank upsampling": ("model.upsample_rank=0",),
    "upsampling of rank 32": ("model.upsample_rank=32",),
    **{f"frames of {size}": frame_size(size) for size in (8, 16, 64)},
    **{f"history of {size}": (f"model.hist_size={size}",) for size in (16, 32, 128)},
    "code embeddings": ("model.history=embedding",),
    "linear codes": ("model.quantization=linear",),
    "gru": ("model.cell=gru",),
    "two recurrent layers": ("model.n_rnn=2",),
    **{f"frame tier {size} wide": (f"model.dim={size}",) for size in (256, 640)},
    **{f"sample tier {size} wide": (f"model.sample_dim={size}",) for size in (128, 512)},
    "three sample layers": ("model.sample_layers=3",),
    **{f"layer {layer} of the encoder": (f"text.layer={layer}",) for layer in (0, 1, 2, 3, 4, 6)},
}
"""What each changes in the config."""


def variant(base: RunConfig, changed: RunConfig) -> RunConfig:
    """A variant with as many steps as make its compute the base's."""
    share = multiply_adds(base.model, base.loss) / multiply_adds(changed.model, changed.loss)
    return replace(changed, train=replace(changed.train, steps=max(1, round(base.train.steps * share))))


def collect(out: Path) -> dict[str, Any]:
    """What was found of the variants that are done, by name."""
    keys = ("digit_error", "digit_error_95", "exact", "exact_95", "stop_error", "texts", "digits")
    rows = {}
    for name in VARIANTS:
        run = out / name.replace(" ", "-")
        if not (report := trainings.report_of(run, "all")):
            continue
        splits = report["splits"]
        rows[name] = {
            "effort": trainings.effort(run / "metrics.jsonl"),
            "nll_bits": splits[SPLITS[0]]["voice"]["nll_bits"],
            "ground_truth": {split: splits[split]["ground_truth"]["digit_error"] for split in SPLITS},
            **{split: {key: splits[split]["voice"][key] for key in keys} for split in SPLITS},
        }
    return rows


def table(rows: Mapping[str, Any], sample_rate: int) -> str:
    """Markdown, a row a variant."""
    header = ["", "steps", "minutes", "audio, hours", "bits per sample"]
    header += ["unseen, %", "number words, %", "wrong ends, %"]
    cells = []
    for name, row in rows.items():
        errors = [percent_cell(row[split]["digit_error"], row[split]["digit_error_95"]) for split in SPLITS]
        ends = percent_cell(row[SPLITS[0]]["stop_error"])
        effort = trainings.effort_cells(row["effort"], sample_rate)
        cells.append([name, *effort, f"{row['nll_bits']:.3f}", *errors, ends])
    return markdown_table(header, cells)


def draw(rows: Mapping[str, Any]) -> bytes:
    """Digit error of each variant on unseen combinations and on number words, with intervals, as PNG."""
    figure = Figure(figsize=(8.0, 1.2 + 0.27 * len(rows)), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(rows))
    drawn = (("unseen combinations", "#1f6feb", -0.15), ("number words", "#d97706", 0.15))
    for split, (label, color, shift) in zip(SPLITS, drawn, strict=True):
        value, spread = errors_and_spreads([row[split] for row in rows.values()])
        axis.errorbar(value, place + shift, xerr=spread, fmt="o", markersize=4, color=color, capsize=2, label=label)
    if BASE in rows:
        axis.axvline(100 * rows[BASE]["test_unseen"]["digit_error"], color="#1f6feb", linewidth=0.6, linestyle=":")
    axis.set_yticks(place, list(rows))
    axis.invert_yaxis()
    axis.set_xlabel("digit error, %")
    axis.set_xlim(left=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return png(figure)


def write(asked: Comparison) -> None:
    """Write ablations.md, ablations.json and ablations.png of all that is done."""
    rows, sample_rate = collect(asked.out), asked.base.data.recordings.sample_rate
    real = next(iter(rows.values()))["ground_truth"]
    about = (
        f"Digit error with 95 % intervals; of real recordings it is {percent_cell(real['test_unseen'])} % on "
        f"unseen combinations and {percent_cell(real['words'])} % on the texts of the number words."
    )
    trainings.write_results(asked, "ablations", [about, table(rows, sample_rate)], rows, draw(rows))


def run(argv: Sequence[str] | None) -> None:
    """Parse, train, judge, write."""
    asked = trainings.parse(argv, "ablate", "configs/ablations.yaml", VARIANTS, 100)
    material, recognizer = trainings.material_of(asked.base, asked.settings, SPLITS), Recognizer.load()
    for changed in asked.trainings.values():
        one = variant(asked.base, changed)
        train(one, resume=trainings.is_begun(one))
        trainings.judge(one.output, {"all": material}, recognizer, asked.settings)
    write(asked)


main = script("ablate", run)

if __name__ == "__main__":
    sys.exit(main())
