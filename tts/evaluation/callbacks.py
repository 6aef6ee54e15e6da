"""What runs at each validation of a training: texts are spoken, written, drawn and read back by the recognizer."""

from collections.abc import Sequence

import numpy as np

from data_recipes.sequences import DIGITS, MAX_TRIES
from data_recipes.splits import combination_split
from tts.core import config as configs
from tts.core.files import atomic_write
from tts.evaluation.judges.periodicity import frame_periodicity
from tts.recognition.alignment import align, count_errors
from tts.recognition.model import Recognizer
from tts.text.normalize import digits, file_name
from tts.training.config import RunConfig, without_local_paths
from tts.training.loop import Callback, Callbacks, Snapshot
from tts.training.tracking import read_lines
from tts.voice import MAX_UNIT_SECONDS, Voice

JUDGED_SEED = 2000
LENGTHS = (2, 3, 4, 5)


def callbacks(config: RunConfig) -> Callbacks:
    """What a run does at each validation, and at each that is the best so far."""
    on_validation: list[Callback] = [speak_samples] if config.validation.spoken else []
    if config.validation.judged:
        on_validation.append(Judge(config))
    return Callbacks(on_validation, [keep_voice], [draw_curve] if config.validation.judged else [])


def voice_of(snapshot: Snapshot) -> Voice:
    """The model of a snapshot as a voice."""
    longest = max(max(np.diff(sequence.boundaries, prepend=0).tolist()) for sequence in snapshot.data.validation)
    rate, config = snapshot.data.sample_rate, snapshot.config
    return Voice.from_model(
        snapshot.model,
        name=config.name,
        speakers=snapshot.data.speakers,
        text_encoder=config.text,
        vocabulary=snapshot.data.vocabulary,
        language=snapshot.data.language,
        sample_rate=rate,
        sampling=config.sampling,
        max_unit_seconds=min(round(1.25 * longest / rate, 2), MAX_UNIT_SECONDS),
        training={"step": snapshot.step, "config": without_local_paths(configs.to_dict(config))},
    )


def speak_samples(snapshot: Snapshot) -> dict[str, float]:
    """Speak a few validation texts into `samples/step-N/`, and draw their spectrograms beside the recorded ones."""
    from tts.evaluation.plots import spectrogram_pairs  # matplotlib takes a second

    voice = voice_of(snapshot)
    folder = snapshot.folder / "samples" / f"step-{snapshot.step:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    for i, sequence in enumerate(snapshot.data.validation[: snapshot.config.validation.spoken]):
        said = voice.speak(sequence.text, speaker=sequence.speaker, seed=i)
        said.save(folder / f"{i}-{file_name(sequence.words)}.wav", force=True)
        pairs.append((f"{sequence.speaker}: {sequence.text}", sequence.audio, said))
    atomic_write(folder / "spectrograms.png", spectrogram_pairs(pairs))
    return {}


class Judge:
    """Speaks combinations that training never has; counts digit errors and measures periodicity, which together choose
    the checkpoint: a voice that whispers is read well.

    score: digit error + the mean over the speakers of max(0, periodicity of their validation sequences - of the voice).
    """

    def __init__(self, config: RunConfig) -> None:
        self.recognizer = Recognizer.load()
        self.count, self.sequences = config.validation.judged, config.data.sequences

    def __call__(self, snapshot: Snapshot) -> dict[str, float]:
        """Digit error (edits per digit said), periodicity, the score, and the share of texts that ran into the cap."""
        # A training of single words has no combinations.
        lengths = LENGTHS if self.sequences.max_digits > 1 else (1,)
        voice, words = voice_of(snapshot), snapshot.data.vocabulary
        texts = held_out_texts(self.count, self.sequences.hold_outs, words, lengths)
        # Speakers change once all lengths are said, so each speaker says all of them.
        speakers = [voice.speakers[i // len(lengths) % len(voice.speakers)] for i in range(len(texts))]
        spoken = list(voice.speak_each([" ".join(words) for words in texts], speakers))
        recognized = self.recognizer.recognize([said.samples for said in spoken], voice.sample_rate)
        edits = sum(
            count_errors(align(digits(words), read)).total for words, read in zip(texts, recognized, strict=True)
        )
        capped = sum(said.stop_reason == "cap" for said in spoken)
        error = edits / sum(map(len, texts))
        own = periodicity_by_speaker([(speaker, x.samples) for speaker, x in zip(speakers, spoken, strict=True)], voice)
        real = periodicity_by_speaker([(x.speaker, x.audio) for x in snapshot.data.validation], voice)
        missing = [max(0.0, real[name] - own[name]) for name in own if name in real]
        return {
            "digit_error": error,
            "periodicity": float(np.mean([*own.values()])),
            "score": error + float(np.mean(missing or [0.0])),
            "capped": capped / len(texts),
        }


def periodicity_by_speaker(waves: Sequence[tuple[str, np.ndarray]], voice: Voice) -> dict[str, float]:
    """Mean over the loud frames of each speaker's waves, at the voice's sample rate."""
    frames: dict[str, list[np.ndarray]] = {}
    for speaker, wave in waves:
        frames.setdefault(speaker, []).append(frame_periodicity(wave, voice.sample_rate))
    joined = {speaker: np.concatenate(found) for speaker, found in frames.items()}
    return {speaker: float(found.mean()) if len(found) else 0.0 for speaker, found in joined.items()}


def held_out_texts(
    count: int, hold_outs: tuple[str, ...], vocabulary: Sequence[str] = DIGITS, lengths: Sequence[int] = LENGTHS
) -> list[tuple[str, ...]]:
    """Combinations that the `unseen` hold-out owns, of each length in rotation; any if it owns none or is not held."""
    rng = np.random.default_rng(JUDGED_SEED)
    texts: list[tuple[str, ...]] = []
    for index in range(count):
        for _ in range(MAX_TRIES):
            words = tuple(vocabulary[i] for i in rng.integers(0, len(vocabulary), lengths[index % len(lengths)]))
            if len(words) == 1 or "unseen" not in hold_outs or combination_split(words) == "unseen":
                break
        texts.append(words)
    return texts


def draw_curve(snapshot: Snapshot) -> None:
    """Digit error against the minutes of the run so far: `curve.png` in the run's folder."""
    from tts.evaluation.plots import training_curve  # matplotlib takes a second

    names = ("validation/minutes", "validation/digit_error")
    rows = [row for row in read_lines(snapshot.folder / "metrics.jsonl") if all(name in row for name in names)]
    minutes, errors = ([row[name] for row in rows] for name in names)
    title = f"{snapshot.config.name}, {snapshot.config.validation.judged} texts"
    atomic_write(snapshot.folder / "curve.png", training_curve(minutes, errors, title))


def keep_voice(snapshot: Snapshot) -> None:
    """Write the best voice so far to the run's `voice/` folder."""
    card = f"# {snapshot.config.name}\n\nThe best checkpoint so far of a training run, step {snapshot.step}.\n"
    voice_of(snapshot).save(snapshot.folder / "voice", card)
