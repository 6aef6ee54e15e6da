"""What is looked at while a model trains: texts spoken, written, drawn and read back by the recogniser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tts import audio
from tts import config as configs
from tts.evaluation.recognizer import Recognizer
from tts.training.config import RunConfig
from tts.training.loop import Listener, Snapshot
from tts.voice import Audio, Voice

JUDGED_SEED = 2000


def listeners(config: RunConfig) -> tuple[list[Listener], list[Callable[[Snapshot], Any]]]:
    """What a run does at each validation, and at each that is the best so far."""
    on_validation: list[Listener] = []
    if config.validation.spoken:
        on_validation.append(speak_samples)
    if config.validation.judged:
        on_validation.append(Judge(config))
    return on_validation, [keep_voice]


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
        max_word_seconds=round(1.25 * longest / rate, 2),
        training={"step": snapshot.step, "config": _without_places(configs.to_dict(snapshot.config))},
    )


def _without_places(config: dict[str, Any]) -> dict[str, Any]:
    """The config without the folders of the machine that trained: they mean nothing elsewhere."""
    data = {key: value for key, value in config["data"].items() if key != "source"}
    return {**{key: value for key, value in config.items() if key != "output"}, "data": data}


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
    """Speaks drawn texts and has the recogniser read them back: the figure that chooses the checkpoint."""

    def __init__(self, config: RunConfig) -> None:
        self.recognizer = Recognizer.load()
        self.count = config.validation.judged
        self.max_digits = 5

    def __call__(self, snapshot: Snapshot) -> dict[str, float]:
        """Digit error (edits per digit said) and the share of texts that ran into the cap."""
        from torchaudio.functional import edit_distance

        voice = voice_of(snapshot)
        rng = np.random.default_rng(JUDGED_SEED)
        texts = [[int(d) for d in rng.integers(0, 10, 1 + i % self.max_digits)] for i in range(self.count)]
        spoken = [
            voice.speak(" ".join(map(str, digits)), speaker=voice.speakers[i % len(voice.speakers)], seed=i)
            for i, digits in enumerate(texts)
        ]
        heard = self.recognizer.recognize([said.samples for said in spoken], voice.sample_rate)
        edits = sum(edit_distance(digits, read) for digits, read in zip(texts, heard, strict=True))
        capped = sum(said.stop_reason == "cap" for said in spoken)
        return {"digit_error": edits / sum(map(len, texts)), "capped": capped / self.count}


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
            heard = wave + np.random.default_rng(0).normal(0, 1e-5, len(wave))
            axis.specgram(heard, NFFT=256, noverlap=192, Fs=said.sample_rate, vmin=-120, vmax=-30, cmap="magma")
        for end in said.word_ends:
            right.axvline(end / said.sample_rate, color="white", linewidth=0.6)
        left.set_title(f"{title} (recorded)", fontsize=9)
        right.set_title(f"{title} (spoken, {said.stop_reason})", fontsize=9)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=80)
    temporary.replace(path)
