"""How often a voice's softmax has one mode, and how near it is to a Gaussian, by speaker and by class of sound.

Recordings of single digits are teacher-forced; beside them stands what the voice itself says. Letters: T samples.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from matplotlib.figure import Figure

from data_recipes.corpus import Recording
from data_recipes.fsdd import build_recordings
from tts.core.config import Range, check
from tts.core.errors import InputError
from tts.core.files import atomic_write
from tts.core.plots import png
from tts.evaluation.softmax import Prediction, Predictor, Shape, measure
from tts.lab.experiment import Result, Run
from tts.text.normalize import SPOKEN
from tts.voice import Voice, load_voice

Sound = Literal["any", "vowel", "fricative", "stop", "nasal", "approximant", "pause"]
ONSETS: dict[int, Sound] = {
    0: "fricative", 1: "approximant", 2: "stop", 3: "fricative", 4: "fricative", 5: "fricative", 6: "fricative",
    7: "fricative", 9: "nasal",
}  # fmt: skip
"""What an English digit begins with, if it is no vowel; "three" has a fricative before its approximant."""
CODAS: dict[int, Sound] = {
    1: "nasal", 4: "approximant", 5: "fricative", 6: "fricative", 7: "nasal", 8: "stop", 9: "nasal",
}  # fmt: skip
"""What it ends with; "six" has a stop before its fricative."""


@dataclass(frozen=True)
class Settings:
    """Of one row."""

    source: Path | None = None
    """The recordings: FSDD in its own layout; its takes 0-4, which no voice was trained on, are used."""
    voice: str | None = None
    """Of digits: a name, a folder or a hub id; null: the one that ships. It must have the corpus's speakers."""
    what: Literal["recorded", "spoken"] = "recorded"
    """Real recordings, or what the voice says of the same texts."""
    speaker: str | None = None
    """null: all that the voice and the corpus have."""
    sound: Sound = "any"
    """Only samples of this class, in voices whose units are parts of words."""
    takes: Annotated[int, Range(1, 5)] = 1
    """Recordings of each digit of each speaker."""

    def __post_init__(self) -> None:
        check(self)


def sound_of(prediction: Prediction, unit: int) -> Sound | None:
    """The class of a unit; None where its word is no digit or has no such part."""
    word, name = prediction.names[unit]
    if name in ("pause", "nucleus"):
        return "pause" if name == "pause" else "vowel"
    return {"onset": ONSETS, "coda": CODAS}.get(name, {}).get(SPOKEN.get(prediction.words[word], -1))


def chosen(prediction: Prediction, sound: Sound) -> np.ndarray:
    """(T,) bool: the samples of a class."""
    if sound == "any":
        return np.ones(len(prediction.codes), bool)
    fits = np.array([sound_of(prediction, unit) == sound for unit in range(len(prediction.names))])
    return fits[prediction.units]


@functools.lru_cache(maxsize=2)  # runs that follow each other have the same
def _recordings(source: Path) -> list[Recording]:
    return build_recordings(source)["test"]


@functools.lru_cache(maxsize=1)
def _predictor(voice: str | None) -> Predictor:
    return Predictor(load_voice(voice))


def predictions(predictor: Predictor, recordings: Sequence[Recording], what: str, seed: int) -> Iterator[Prediction]:
    """Of each recording, or of what the voice says of its text."""
    for place, recording in enumerate(recordings):
        if what == "spoken":
            yield predictor.spoken(predictor.voice.speak(recording.word, recording.speaker, seed + place))
        else:
            yield predictor.recorded(recording.audio, [recording.word], [len(recording.audio)], recording.speaker)


def run(settings: Settings, run: Run) -> dict[str, float | int | str]:
    """One row: means over all samples chosen. With a budget of steps, only so many clips."""
    assert settings.source is not None
    predictor = _predictor(settings.voice)
    usable = _usable(_recordings(settings.source), predictor.voice, settings)
    parts = []
    for prediction in predictions(predictor, usable[: run.budget.steps], settings.what, run.seed):
        mask = chosen(prediction, settings.sound)
        parts.append(vars(measure(prediction.probabilities[torch.from_numpy(mask)], prediction.wave_values)).values())
    shape = Shape(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    if not len(shape.valley):
        raise InputError(f"sound is {settings.sound}; none of the {len(parts)} clips has a sample of it")
    return {"clips": len(parts), "samples": len(shape.valley), **shape.summary()}


def _usable(recordings: Sequence[Recording], voice: Voice, settings: Settings) -> list[Recording]:
    speakers = [settings.speaker] if settings.speaker else voice.speakers
    found = [each for each in recordings if each.speaker in speakers and each.take < settings.takes]
    found = [each for each in found if each.speaker in voice.speakers]
    if not found:
        raise InputError(
            f"the corpus has no recordings of {', '.join(speakers)} that the voice {voice.name} has as well"
        )
    return found


def plot(results: list[Result], path: Path) -> None:
    """The share that is unimodal and the distance from a Gaussian, over codes and over wave values, by row."""
    figure = Figure(figsize=(9.5, 1.0 + 0.3 * len(results)), layout="constrained")
    shares, bits = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(results))
    for axis, codes, wave, scale in ((shares, "unimodal", "unimodal_wave", 100), (bits, "kl_codes", "kl_wave", 1)):
        for shift, key, color in ((-0.2, codes, "#1f6feb"), (0.2, wave, "#d97706")):
            values = [scale * float(result.results[key]) for result in results]
            axis.barh(
                places + shift, values, 0.38, color=color, label="over wave values" if shift > 0 else "over codes"
            )
        axis.spines[["top", "right"]].set_visible(False)
    shares.set_yticks(places, [result.run for result in results], fontsize=8)
    shares.invert_yaxis()
    shares.set_xlabel("unimodal, %")
    bits.set_xlabel("bits from a Gaussian of the same mean and variance")
    bits.legend(frameon=False, fontsize=8)
    atomic_write(path, png(figure))
