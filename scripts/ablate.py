"""What each part of the training is worth: one part changed at a time, at equal compute, in one table and one plot.

    python scripts/ablate.py configs/ablations.yaml data.source=FSDD --out runs/ablations

Trains the variants one after another, each with the steps that give its training the base's number of multiply-adds
(`tts.training.compute`), has each voice say the same held-out texts, and reads them back. A variant is `OUT/NAME/`.
What is done is not done again, and an interrupted run is resumed. `--only NAME,NAME` trains and judges these alone, so
that several processes can share the work; whoever comes last writes OUT/ablations.md, .json and .png of what is there.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tts.cli.train import train
from tts.core import config as configs
from tts.core.console import run_command
from tts.core.files import atomic_write, is_file
from tts.core.machine import circumstances, described
from tts.core.plots import png
from tts.evaluation.running import REPORT
from tts.evaluation.test_sets import Trained, from_source
from tts.evaluation.trainings import Settings, effort, judge, load, parse
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


def variant(base: RunConfig, changed: RunConfig, name: str, out: Path) -> RunConfig:
    """A variant's run: the base's compute, a folder of its own."""
    share = multiply_adds(base.model, base.loss) / multiply_adds(changed.model, changed.loss)
    steps = max(1, round(base.train.steps * share))
    return replace(changed, output=out / name.replace(" ", "-"), train=replace(changed.train, steps=steps))


def metrics_of(run: Path) -> dict[str, Any]:
    """What was found of a variant."""
    report = json.loads((run / "evaluation" / "all" / REPORT).read_text(encoding="utf-8"))
    found = {split: report["splits"][split]["voice"] for split in SPLITS}
    keys = ("digit_error", "digit_error_95", "exact", "exact_95", "stop_error", "texts", "digits")
    return {
        "effort": effort(run / "metrics.jsonl"),
        "nll_bits": found[SPLITS[0]]["nll_bits"],
        "ground_truth": {split: report["splits"][split]["ground_truth"]["digit_error"] for split in SPLITS},
        **{split: {key: found[split][key] for key in keys} for split in SPLITS},
    }


def collect(out: Path) -> dict[str, Any]:
    """What is done so far, by variant."""
    folders = {name: out / name.replace(" ", "-") for name in VARIANTS}
    return {
        name: metrics_of(folder) for name, folder in folders.items() if is_file(folder / "evaluation" / "all" / REPORT)
    }


def table(rows: Mapping[str, Any], sample_rate: int) -> str:
    """Markdown, a row a variant."""
    lines = [
        "| | steps | minutes | audio, hours | bits per sample | unseen, % | number words, % | wrong ends, % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        cells = []
        for split in SPLITS:
            low, high = row[split]["digit_error_95"]
            cells.append(f"{100 * row[split]['digit_error']:.1f} ({100 * low:.1f}-{100 * high:.1f})")
        spent = row["effort"]
        hours = spent["samples"] / sample_rate / 3600
        lines.append(
            f"| {name} | {spent['steps']} | {spent['minutes']:.1f} | {hours:.1f} | {row['nll_bits']:.3f} "
            f"| {' | '.join(cells)} | {100 * row[SPLITS[0]]['stop_error']:.1f} |"
        )
    return "\n".join(lines)


def draw(rows: Mapping[str, Any]) -> bytes:
    """Digit error of each variant on unseen combinations and on number words, with intervals, as PNG."""
    figure = Figure(figsize=(8.0, 1.2 + 0.27 * len(rows)), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(rows))
    for split, color, shift in zip(SPLITS, ("#1f6feb", "#d97706"), (-0.15, 0.15), strict=True):
        value = 100 * np.array([row[split]["digit_error"] for row in rows.values()])
        interval = 100 * np.array([row[split]["digit_error_95"] for row in rows.values()])
        spread = np.maximum(np.abs(interval - value[:, None]).T, 0)
        label = {"test_unseen": "unseen combinations", "words": "number words"}[split]
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


def write(out: Path, sample_rate: int, settings: Settings) -> None:
    """Write ablations.md, ablations.json and ablations.png of all that is done."""
    rows = collect(out)
    ground_truth = rows[next(iter(rows))]["ground_truth"]
    document = [
        f"{settings.texts} texts in each split, duration spread {settings.duration_spread}, seed {settings.seed}.",
        f"{described(circumstances())}.",
        f"Digit error with 95 % intervals; of real recordings it is {100 * ground_truth['test_unseen']:.1f} % on "
        f"unseen combinations and {100 * ground_truth['words']:.1f} % on the texts of the number words.",
        table(rows, sample_rate),
    ]
    atomic_write(out / "ablations.md", ("\n\n".join(document) + "\n").encode())
    atomic_write(out / "ablations.json", (json.dumps(rows, indent=1) + "\n").encode())
    atomic_write(out / "ablations.png", draw(rows))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run_command("ablate", lambda: run(argv))


def run(argv: Sequence[str] | None) -> None:
    """Parse, train, judge, write."""
    args, names = parse(
        argv, "Train and judge variants of one training, alike.", "configs/ablations.yaml", VARIANTS, 100
    )
    base = load(args.config, args.overrides)
    out = args.out or base.output
    settings = Settings(args.n, args.seed, args.duration_spread)
    rate = base.data.recordings.sample_rate
    trained = Trained(base.data.recordings, base.data.sequences)
    material = from_source(base.data.source, [*SPLITS], args.n, args.seed, base.data.speakers, rate, trained)
    recognizer = Recognizer.load()
    for name in names:
        changed = configs.load(RunConfig, args.config, [*args.overrides, *VARIANTS[name]])
        one = variant(base, changed, name, out)
        train(one, resume=is_file(one.output / "checkpoints" / "latest.safetensors"))
        judge(one.output, {"all": material}, recognizer, settings)
    write(out, rate, settings)
    print((out / "ablations.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
