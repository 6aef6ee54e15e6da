"""What is looked at while a model trains: texts spoken, written, drawn and read back by the recognizer."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.splits import combination_split
from tts import audio
from tts.core import config as configs
from tts.core.files import atomic_write
from tts.recognition.model import Recognizer
from tts.training.config import RunConfig, without_local_paths
from tts.training.loop import Callback, Callbacks, Snapshot
from tts.training.tracking import read_lines
from tts.voice import MAX_UNIT_SECONDS, Audio, Voice

JUDGED_SEED = 2000
LENGTHS = (2, 3, 4, 5)


def callbacks(config: RunConfig) -> Callbacks:
    """What a run does at each validation, and at each that is the best so far."""
    on_validation: list[Callback] = []
    on_logged: list[Callable[[Snapshot], Any]] = []
    if config.validation.spoken:
        on_validation.append(speak_samples)
    if config.validation.judged:
        on_validation.append(Judge(config))
        on_logged.append(draw_curve)
    return Callbacks(on_validation, [keep_voice], on_logged)


def voice_of(snapshot: Snapshot) -> Voice:
    """The model of a snapshot as a voice."""
    longest = max(
        end - begin
        for sequence in snapshot.data.validation
        for begin, end in zip([0, *sequence.boundaries], sequence.boundaries, strict=False)
    )
    rate = snapshot.data.sample_rate
    return Voice.from_model(
        snapshot.model,
        name=snapshot.config.name,
        speakers=snapshot.data.speakers,
        text_encoder=snapshot.config.text,
        sample_rate=rate,
        sampling=snapshot.config.sampling,
        max_unit_seconds=min(round(1.25 * longest / rate, 2), MAX_UNIT_SECONDS),
        training={"step": snapshot.step, "config": without_local_paths(configs.to_dict(snapshot.config))},
    )


def speak_samples(snapshot: Snapshot) -> dict[str, float]:
    """Speak a few validation texts into `samples/step-N/`, and draw their spectrograms beside the recorded ones."""
    voice = voice_of(snapshot)
    folder = snapshot.folder / "samples" / f"step-{snapshot.step:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    real = snapshot.data.validation[: snapshot.config.validation.spoken]
    spoken = []
    for i, sequence in enumerate(real):
        said = voice.speak(sequence.text, speaker=sequence.speaker, seed=i)
        audio.write(folder / f"{i}-{sequence.text.replace(' ', '')}.wav", said.samples, said.sample_rate, force=True)
        spoken.append(said)
    titles = [f"{sequence.speaker}: {sequence.text}" for sequence in real]
    pairs = [(sequence.audio, said) for sequence, said in zip(real, spoken, strict=True)]
    draw_spectrograms(pairs, titles, folder / "spectrograms.png")
    return {}


class Judge:
    """Speaks combinations never heard and has the recognizer read them back: the figure that chooses the checkpoint."""

    def __init__(self, config: RunConfig) -> None:
        self.recognizer = Recognizer.load()
        self.texts = held_out_texts(config.validation.judged, config.data.sequences.hold_outs)

    def __call__(self, snapshot: Snapshot) -> dict[str, float]:
        """Digit error (edits per digit said) and the share of texts that ran into the cap."""
        from torchaudio.functional import edit_distance

        voice = voice_of(snapshot)
        texts = self.texts
        # Lengths come in turn as well, so each speaker says all of them.
        speakers = [voice.speakers[i // len(LENGTHS) % len(voice.speakers)] for i in range(len(texts))]
        spoken = list(voice.speak_each([" ".join(map(str, digits)) for digits in texts], speakers))
        recognized = self.recognizer.recognize([said.samples for said in spoken], voice.sample_rate)
        edits = sum(edit_distance(digits, read) for digits, read in zip(texts, recognized, strict=True))
        capped = sum(said.stop_reason == "cap" for said in spoken)
        return {"digit_error": edits / sum(map(len, texts)), "capped": capped / len(texts)}


def held_out_texts(count: int, hold_outs: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Digits of combinations that the `unseen` hold-out owns, 2 to 5 long in turn; any digits where it is not held."""
    rng = np.random.default_rng(JUDGED_SEED)
    texts: list[tuple[int, ...]] = []
    while len(texts) < count:
        digits = tuple(rng.integers(0, 10, LENGTHS[len(texts) % len(LENGTHS)]).tolist())
        if "unseen" not in hold_outs or combination_split(digits) == "unseen":
            texts.append(digits)
    return texts


def draw_curve(snapshot: Snapshot) -> None:
    """Digit error against the minutes of the run so far: `curve.png` in the run's folder."""
    from matplotlib.figure import Figure

    rows = read_lines(snapshot.folder / "metrics.jsonl")
    rows = [row for row in rows if "validation/digit_error" in row and "validation/minutes" in row]
    minutes = [row["validation/minutes"] for row in rows]
    error = [max(100 * row["validation/digit_error"], 0.1) for row in rows]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(minutes, error, marker="o", markersize=3, color="#1f6feb")
    axis.axhline(5, color="#888888", linewidth=0.8, linestyle=":")
    axis.set_yscale("log")
    axis.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axis.set_xlim(left=0)
    axis.set_xlabel("minutes")
    axis.set_ylabel("digit error on unseen combinations, %")
    axis.set_title(f"{snapshot.config.name}, {snapshot.config.validation.judged} texts", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    atomic_write(snapshot.folder / "curve.png", buffer.getvalue())


def keep_voice(snapshot: Snapshot) -> None:
    """Write the best voice so far to the run's `voice/` folder."""
    card = f"# {snapshot.config.name}\n\nThe best checkpoint so far of a training run, step {snapshot.step}.\n"
    voice_of(snapshot).save(snapshot.folder / "voice", card)


def draw_spectrograms(pairs: list[tuple[np.ndarray, Audio]], titles: list[str], path: Path) -> None:
    """One row a text: the real recording on the left, the spoken one on the right, ends of words marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.2 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 2, squeeze=False)
    for (real, said), title, (left, right) in zip(pairs, titles, axes, strict=True):
        for axis, wave in ((left, real), (right, said.samples)):
            # Zeros would be minus infinity decibels; a dither of -100 dB is not seen.
            recognized = wave + np.random.default_rng(0).normal(0, 1e-5, len(wave))
            axis.specgram(recognized, NFFT=256, noverlap=192, Fs=said.sample_rate, vmin=-120, vmax=-30, cmap="magma")
        for end in said.word_ends:
            right.axvline(end / said.sample_rate, color="white", linewidth=0.6)
        left.set_title(f"{title} (recorded)", fontsize=9)
        right.set_title(f"{title} (spoken, {said.stop_reason})", fontsize=9)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=80)
    temporary.replace(path)
