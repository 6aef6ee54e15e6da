"""The systems that are judged: a voice, maybe beside a second one; audio files of any system; real recordings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from data_recipes.sequences import Sequence as Real
from tts import audio
from tts.core.errors import InputError
from tts.evaluation.fingerprint import files_fingerprint, material_fingerprint, model_fingerprint, voice_fingerprint
from tts.evaluation.judges.judge import Judge, judge_waves
from tts.evaluation.judges.speaker import SpeakerJudge
from tts.evaluation.judges.whisper import FREE, written
from tts.evaluation.manifest import FileRow
from tts.evaluation.material import check_digits
from tts.evaluation.running import FORMAT, Block, Evaluation
from tts.evaluation.test_sets import FILES, SPLITS, Material
from tts.evaluation.utterance import Score, Sound, System, Utterance, measure_sound
from tts.recognition.model import Recognizer
from tts.text.normalize import digits, words
from tts.voice import Audio, Voice
from tts.voice.options import SpeakChanges

if TYPE_CHECKING:
    from tts.evaluation.likelihood import LikelihoodScorer

LIKELIHOOD_TEXTS = 100
"""The likelihood is computed of so many real sequences of each split: it is slow, and more would not change it."""
LIKELIHOOD_WORDS = 20
"""Of longer ones it is not: each is held in memory as a whole, a hundred digits in 2.5 GB."""

Quality = Callable[[Sequence[Utterance]], dict[str, dict[str, float]]]


@dataclass
class SpokenByVoice:
    """A voice as a system: it says each text, and a recognizer reads back what was said."""

    system: System
    voice: Voice
    recognizer: Recognizer | None
    out: Path
    seed: int
    options: SpeakChanges
    judges: Sequence[Judge] = ()

    def judge(self, block: Block, real: Sequence[Real]) -> list[Utterance]:
        """Say the texts of these real sequences, write the audio below `out` and measure it."""
        split = SPLITS.index(block.split)
        spoken = self.voice.speak_batch(
            [item.text for item in real],
            [item.speaker for item in real],
            [int(np.random.default_rng([self.seed, split, i]).integers(2**63)) for i in block.indices],
            **self.options,
        )
        waves = [said.samples for said in spoken]
        texts = [_words(item, self.recognizer) for item in real]
        scores = judge_waves(self.judges, waves, self.voice.sample_rate, texts, [item.speaker for item in real])
        recognized = _recognized(self.recognizer, waves, self.voice.sample_rate, scores)
        folder = Path("audio", self.system, block.split)
        (self.out / folder).mkdir(parents=True, exist_ok=True)
        utterances = []
        done = zip(block.indices, real, texts, spoken, recognized, scores, strict=True)
        for index, item, text, said, answer, judged in done:
            path = folder / f"{index:04d}.flac"
            scored = index < LIKELIHOOD_TEXTS and len(item.words) <= LIKELIHOOD_WORDS
            audio.write(self.out / path, said.samples, said.sample_rate, force=True)
            extra = {
                "last_segment_seconds": last_segment_seconds(said),
                "stop_reason": said.stop_reason,
                "forced_advances": said.forced_advances,
                "likelihood": self.scorer(item) if scored else None,
                "path": str(path),
                "scores": judged,
            }
            sound = measure_sound(said.samples, said.sample_rate, joins(said))
            utterances.append(_utterance(block, index, item, text, answer, sound, item, **extra))
        return utterances

    @cached_property
    def scorer(self) -> "LikelihoodScorer":
        """Made when it is first needed: a run that is resumed late needs none."""
        from tts.evaluation.likelihood import LikelihoodScorer

        return LikelihoodScorer(self.voice)


def of_voice(
    voice: Voice,
    material: Material,
    recognizer: Recognizer | None,
    out: Path,
    seed: int,
    baseline: Voice | None = None,
    options: SpeakChanges | None = None,
    judges: Sequence[Judge] = (),
) -> Evaluation:
    """A voice, and maybe a second one, on material of its speakers.

    Args: recognizer, of digits; None for a voice of other words, which the judge whisper, one of `judges`, reads; out,
        the folder for the spoken audio; seed, of what is spoken; options, as in `Voice.speak`: temperatures and
        duration_spread.

    Raises: InputError if the baseline lacks a speaker of the material or has another sample rate.
    """
    voices: dict[System, Voice] = {"voice": voice}
    if baseline is not None:
        _check_baseline(baseline, material)
        voices["baseline"] = baseline
    own: SpeakChanges = {"temperature": None, "nucleus_temperature": None, "duration_spread": None}
    asked: SpeakChanges = {**own, **(options or {})}
    enroll(judges, material, voice.speakers)
    systems = {name: SpokenByVoice(name, each, recognizer, out, seed, asked, judges) for name, each in voices.items()}

    def judge(block: Block) -> list[Utterance]:
        real = [material.splits[block.split][i] for i in block.indices]
        if block.system == "ground_truth":
            return judge_real(block, real, recognizer, judges)
        return systems[block.system].judge(block, real)

    return Evaluation(
        settings={
            "format": FORMAT,
            **{name: {"name": each.name, "sha256": voice_fingerprint(each)} for name, each in voices.items()},
            "seed": seed,
            **asked,
            "material": material_fingerprint(material),
            **({"recognizer": model_fingerprint(recognizer.net)} if recognizer else {}),
            "judges": {judge.name: judge.settings() for judge in judges},
        },
        sizes={name: len(items) for name, items in material.splits.items()},
        systems=tuple(name for name in get_args(System) if name == "ground_truth" or name in voices),
        judge=judge,
        limits=material.limits,
        notes=material.notes,
        quality=_quality(material, "single", recognizer, out) if material.reference and recognizer else None,
        unit=material.unit,
    )


def of_files(
    rows: Sequence[FileRow], material: Material, recognizer: Recognizer, judges: Sequence[Judge] = ()
) -> Evaluation:
    """Audio files of any system, as a manifest names them, and what `for_texts` found for their texts."""
    real = material.splits[FILES]
    enroll(judges, material, {row.speaker for row in rows})

    def judge(block: Block) -> list[Utterance]:
        if block.system == "ground_truth":
            return judge_real(block, [real[i] for i in block.indices], recognizer, judges)
        return [_judge_file(block, i, rows[i], real[i] if real else None, recognizer, judges) for i in block.indices]

    return Evaluation(
        settings={
            "format": FORMAT,
            "files": files_fingerprint(rows),
            "material": material_fingerprint(material),
            "recognizer": model_fingerprint(recognizer.net),
            "judges": {judge.name: judge.settings() for judge in judges},
        },
        sizes={FILES: len(rows)},
        systems=("voice", "ground_truth") if real else ("voice",),
        judge=judge,
        limits=material.limits,
        notes=material.notes,
        quality=_quality(material, FILES, recognizer, Path()) if material.reference and len(rows) > 1 else None,
    )


def enroll(judges: Sequence[Judge], material: Material, speakers: Collection[str]) -> None:
    """Give the judge of speakers, if there is one, the training recordings that it compares these speakers with."""
    for judge in judges:
        if isinstance(judge, SpeakerJudge):
            judge.enroll(material.training, speakers)


def judge_real(
    block: Block, real: Sequence[Real], recognizer: Recognizer | None, judges: Sequence[Judge] = ()
) -> list[Utterance]:
    """The ground truth: real sequences as they are."""
    waves, rate = [item.audio for item in real], real[0].sample_rate
    texts = [_words(item, recognizer) for item in real]
    scores = judge_waves(judges, waves, rate, texts, [item.speaker for item in real])
    recognized = _recognized(recognizer, waves, rate, scores)
    utterances = []
    for index, item, text, answer, judged in zip(block.indices, real, texts, recognized, scores, strict=True):
        last = float(np.diff(item.boundaries, prepend=0)[-1]) / item.sample_rate
        sound = measure_sound(item.audio, item.sample_rate, item.boundaries[:-1])
        extra = {"last_segment_seconds": last, "scores": judged}
        utterances.append(_utterance(block, index, item, text, answer, sound, item, **extra))
    return utterances


def _judge_file(
    block: Block, index: int, row: FileRow, real: Real | None, recognizer: Recognizer, judges: Sequence[Judge]
) -> Utterance:
    wave, rate = audio.read(row.path)
    said = _words(row, recognizer)
    (scores,) = judge_waves(judges, [wave], rate, [said], [row.speaker])
    (recognized,) = _recognized(recognizer, [wave], rate, [scores])
    sound = measure_sound(wave, rate)
    return _utterance(block, index, row, said, recognized, sound, real, path=str(row.path), scores=scores)


def _words(item: Real | FileRow, recognizer: Recognizer | None) -> list[str]:
    """The words of a text, as `Utterance` has them; the files of a manifest say digits."""
    if isinstance(item, FileRow):
        return [str(digit) for digit in digits(words(item.text))]
    return item.words if recognizer else written(item.words)


def _recognized(
    recognizer: Recognizer | None, waves: Sequence[np.ndarray], rate: int, scores: Sequence[Mapping[str, Score]]
) -> list[list[str]]:
    """What was recognized in each wave: by our recognizer, or without it by the judge whisper, nothing over 28 s."""
    if recognizer is None:
        return [(score[FREE].reading or "").split() if FREE in score else [] for score in scores]
    return [[str(digit) for digit in found] for found in recognizer.recognize(waves, rate)]


def _utterance(
    block: Block,
    index: int,
    item: Real | FileRow,
    said: list[str],
    recognized: list[str],
    sound: Sound,
    real: Real | None,
    **extra: Any,
) -> Utterance:
    seconds = len(real.audio) / real.sample_rate if real else None
    about = (block.split, index, block.system, item.text, said, item.speaker)
    return Utterance(*about, recognized, sound, seconds, **extra)


def _quality(material: Material, split: str, recognizer: Recognizer, folder: Path) -> Quality:
    """FID, IS, mIS and AM of each system's single digits in a split, against real training recordings.

    Args: folder, which the paths of the utterances start from.
    """
    from tts.evaluation.quality import Clips, quality

    def of_systems(judged: Sequence[Utterance]) -> dict[str, dict[str, float]]:
        real = {"reference": material.reference, "ground_truth": material.splits[split]}
        waves = {name: [(item.audio, item.sample_rate) for item in items] for name, items in real.items()}
        for item in judged:
            if item.split == split and item.path is not None:
                waves.setdefault(item.system, []).append(audio.read(folder / item.path))
        clips = {name: Clips.of(recognizer, each) for name, each in waves.items()}
        reference = clips.pop("reference")
        return {system: quality(each, reference) for system, each in clips.items()}

    return of_systems


def joins(said: Audio) -> list[int] | None:
    """The samples where one word's segment ends and the next begins; None where the voice has no pointer (`pooled`)."""
    if said.stop_reason == "stop" and len(said.word_ends) != len(said.words):
        return None
    return said.word_ends[:-1] if said.stop_reason == "stop" else said.word_ends


def last_segment_seconds(said: Audio) -> float | None:
    """From the end of the last word but one; None where the voice has no pointer (`pooled`)."""
    before = joins(said)
    return None if before is None else (len(said.samples) - (before[-1] if before else 0)) / said.sample_rate


def _check_baseline(baseline: Voice, material: Material) -> None:
    if material.unit == "digit":
        check_digits(baseline)
    else:
        said = {word for items in material.splits.values() for item in items for word in item.words}
        if lacking := sorted(said - set(baseline.vocabulary)):
            raise InputError(f"the baseline {baseline.name} does not say {', '.join(lacking[:5])}; give one that does")
    needed = {item.speaker for items in material.splits.values() for item in items}
    if missing := sorted(needed - set(baseline.speakers)):
        raise InputError(
            f"the baseline {baseline.name} does not speak as {', '.join(missing)}; give one of the same speakers"
        )
    if baseline.sample_rate != material.sample_rate:
        raise InputError(
            f"the baseline {baseline.name} is at {baseline.sample_rate} Hz and the voice at {material.sample_rate}; "
            "give one of the same sample rate"
        )
