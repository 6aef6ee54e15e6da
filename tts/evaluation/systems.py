"""The systems that are judged: a voice, maybe beside a second one; audio files of any system; real recordings."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from data_recipes.sequences import Sequence as Real
from tts import audio
from tts.core.errors import InputError
from tts.evaluation.fingerprint import files_fingerprint, material_fingerprint, model_fingerprint, voice_fingerprint
from tts.evaluation.judges.judge import Judge
from tts.evaluation.judges.speaker import SpeakerJudge
from tts.evaluation.judges.whisper import FREE, written
from tts.evaluation.manifest import FileRow
from tts.evaluation.material import check_digits
from tts.evaluation.running import FORMAT, Block, Evaluation
from tts.evaluation.test_sets import FILES, SPLITS, Material
from tts.evaluation.utterance import Score, System, Utterance, measure_sound
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


@dataclass(frozen=True)
class Panel:
    """Our recognizer and the judges beside it. recognizer: of digits; None for a voice of other words, which the judge
    whisper, one of `judges`, reads."""

    recognizer: Recognizer | None
    judges: Sequence[Judge] = ()

    def judge(
        self,
        block: Block,
        index: int,
        item: Real | FileRow,
        wave: np.ndarray,
        sample_rate: int,
        real: Real | None,
        joins: Sequence[int] | None = None,
        **extra: Any,
    ) -> Utterance:
        """What is kept of a text number `index`, said as a wave (T,). The files of a manifest say digits.

        Args: real, a recording of the text, if there is one; joins, as of `measure_sound`; extra, fields of the result.
        """
        if isinstance(item, FileRow):
            said = [str(digit) for digit in digits(words(item.text))]
        else:
            said = item.words if self.recognizer else written(item.words)
        scores: dict[str, Score] = {}
        for judge in self.judges:
            scores |= judge(wave, sample_rate, said, item.speaker)
        if self.recognizer:
            recognized = [str(digit) for digit in self.recognizer.recognize([wave], sample_rate)[0]]
        else:  # nothing over 28 s
            recognized = (scores[FREE].reading or "").split() if FREE in scores else []
        seconds = len(real.audio) / real.sample_rate if real else None
        about = (block.split, index, block.system, item.text, said, item.speaker, recognized)
        return Utterance(*about, measure_sound(wave, sample_rate, joins), seconds, scores=scores, **extra)

    def judge_real(self, block: Block, real: Sequence[Real]) -> list[Utterance]:
        """The ground truth: the real sequences of a split as they are."""
        utterances = []
        for index in block.indices:
            item = real[index]
            last = float(np.diff(item.boundaries, prepend=0)[-1]) / item.sample_rate
            said = (block, index, item, item.audio, item.sample_rate, item, item.boundaries[:-1])
            utterances.append(self.judge(*said, last_segment_seconds=last))
        return utterances

    def settings(self) -> dict[str, Any]:
        """What its answers depend on."""
        own = {"recognizer": model_fingerprint(self.recognizer.net)} if self.recognizer else {}
        return {**own, "judges": {judge.name: judge.settings() for judge in self.judges}}


@dataclass
class SpokenByVoice:
    """A voice as a system: it says each text."""

    system: System
    voice: Voice
    panel: Panel
    out: Path
    seed: int
    options: SpeakChanges

    def judge(self, block: Block, real: Sequence[Real]) -> list[Utterance]:
        """Say the texts of these real sequences, write the audio below `out` and have it judged."""
        split = SPLITS.index(block.split)
        spoken = self.voice.speak_batch(
            [item.text for item in real],
            [item.speaker for item in real],
            [int(np.random.default_rng([self.seed, split, i]).integers(2**63)) for i in block.indices],
            **self.options,
        )
        folder = Path("audio", self.system, block.split)
        (self.out / folder).mkdir(parents=True, exist_ok=True)
        utterances = []
        for index, item, said in zip(block.indices, real, spoken, strict=True):
            path = folder / f"{index:04d}.flac"
            scored = index < LIKELIHOOD_TEXTS and len(item.words) <= LIKELIHOOD_WORDS
            audio.write(self.out / path, said.samples, said.sample_rate, force=True)
            extra: dict[str, Any] = {
                "last_segment_seconds": last_segment_seconds(said),
                "stop_reason": said.stop_reason,
                "forced_advances": said.forced_advances,
                "likelihood": self.scorer(item) if scored else None,
                "path": str(path),
            }
            wave = (said.samples, said.sample_rate)
            utterances.append(self.panel.judge(block, index, item, *wave, item, joins(said), **extra))
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

    Args: recognizer, as of `Panel`; out, the folder for the spoken audio; seed, of what is spoken; options, as in
        `Voice.speak`: temperatures and duration_spread.

    Raises: InputError if the baseline lacks a speaker of the material or has another sample rate.
    """
    voices: dict[System, Voice] = {"voice": voice}
    if baseline is not None:
        _check_baseline(baseline, material)
        voices["baseline"] = baseline
    own: SpeakChanges = {
        "temperature": None,
        "nucleus_temperature": None,
        "duration_spread": None,
        "comb_filter": None,
    }
    asked: SpeakChanges = {**own, **(options or {})}
    enroll(judges, material, voice.speakers)
    panel = Panel(recognizer, judges)
    systems = {name: SpokenByVoice(name, each, panel, out, seed, asked) for name, each in voices.items()}

    def judge(block: Block) -> list[Utterance]:
        real = material.splits[block.split]
        if block.system == "ground_truth":
            return panel.judge_real(block, real)
        return systems[block.system].judge(block, [real[i] for i in block.indices])

    return Evaluation(
        settings={
            "format": FORMAT,
            **{name: {"name": each.name, "sha256": voice_fingerprint(each)} for name, each in voices.items()},
            "seed": seed,
            **asked,
            "material": material_fingerprint(material),
            **panel.settings(),
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
    panel = Panel(recognizer, judges)

    def judge(block: Block) -> list[Utterance]:
        if block.system == "ground_truth":
            return panel.judge_real(block, real)
        return [
            panel.judge(block, i, row, *audio.read(row.path), real[i] if real else None, path=str(row.path))
            for i, row in ((i, rows[i]) for i in block.indices)
        ]

    return Evaluation(
        settings={
            "format": FORMAT,
            "files": files_fingerprint(rows),
            "material": material_fingerprint(material),
            **panel.settings(),
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
