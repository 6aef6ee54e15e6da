"""The systems that are judged: a voice, maybe beside a second one; audio files of any system; real recordings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from data_recipes.sequences import Sequence as Real
from tts import audio
from tts.core.errors import InputError
from tts.evaluation.fingerprint import files_fingerprint, material_fingerprint, model_fingerprint, voice_fingerprint
from tts.evaluation.manifest import FileRow
from tts.evaluation.running import FORMAT, Block, Evaluation
from tts.evaluation.test_sets import SPLITS, Material
from tts.evaluation.utterance import NO_LIMITS, Limits, System, Utterance, measure_sound
from tts.recognition.model import Recognizer
from tts.text.normalize import digits, words
from tts.voice import Audio, Voice

if TYPE_CHECKING:
    from tts.evaluation.likelihood import LikelihoodScorer

LIKELIHOOD_TEXTS = 100
"""The likelihood is computed of so many real sequences of each split: it is slow, and more would not change it."""
LIKELIHOOD_DIGITS = 20
"""Of longer ones it is not: each is held in memory as a whole, a hundred digits in 2.5 GB."""

FILES = "files"
"""The name of the one split of a manifest."""

Wave = tuple[np.ndarray, int]
"""(T,) float32 and its sample rate in Hz."""


class SpokenByVoice:
    """A voice as a system: it says each text, and the recognizer reads back what was said."""

    def __init__(
        self,
        system: System,
        voice: Voice,
        recognizer: Recognizer,
        out: Path,
        seed: int,
        temperature: float | None,
        duration_spread: float | None,
    ) -> None:
        self.system, self.voice, self.recognizer = system, voice, recognizer
        self.out, self.seed = out, seed
        self.temperature, self.duration_spread = temperature, duration_spread
        self._scorer: LikelihoodScorer | None = None

    def judge(self, block: Block, real: Sequence[Real]) -> list[Utterance]:
        """Say the texts of these real sequences, write the audio below `out` and measure it."""
        spoken = self.voice.speak_batch(
            [item.text for item in real],
            [item.speaker for item in real],
            [utterance_seed(self.seed, block.split, i) for i in block.indices],
            temperature=self.temperature,
            duration_spread=self.duration_spread,
        )
        recognized = self.recognizer.recognize([said.samples for said in spoken], self.voice.sample_rate)
        utterances = []
        for index, item, said, answer in zip(block.indices, real, spoken, recognized, strict=True):
            path = Path("audio", self.system, block.split, f"{index:04d}.flac")
            (self.out / path.parent).mkdir(parents=True, exist_ok=True)
            audio.write(self.out / path, said.samples, said.sample_rate, force=True)
            utterances.append(
                Utterance(
                    split=block.split,
                    index=index,
                    system=self.system,
                    text=item.text,
                    digits=item.digits,
                    speaker=item.speaker,
                    recognized=answer,
                    sound=measure_sound(said.samples, said.sample_rate, joins(said)),
                    real_seconds=len(item.audio) / item.sample_rate,
                    last_segment_seconds=last_segment_seconds(said),
                    stop_reason=said.stop_reason,
                    forced_advances=said.forced_advances,
                    likelihood=self.scorer(item) if has_likelihood(index, item) else None,
                    path=str(path),
                )
            )
        return utterances

    @property
    def scorer(self) -> "LikelihoodScorer":
        """Made when it is first needed: a run that is resumed late needs none."""
        if self._scorer is None:
            from tts.evaluation.likelihood import LikelihoodScorer

            self._scorer = LikelihoodScorer(self.voice)
        return self._scorer


def of_voice(
    voice: Voice,
    material: Material,
    recognizer: Recognizer,
    out: Path,
    seed: int,
    baseline: Voice | None = None,
    temperature: float | None = None,
    duration_spread: float | None = None,
) -> Evaluation:
    """A voice, and maybe a second one, on material of its speakers.

    Args: out, the folder for the spoken audio; seed, of what is spoken; temperature and duration_spread as in
        `Voice.speak`.

    Raises: InputError if the baseline lacks a speaker of the material or has another sample rate.
    """
    voices: dict[System, Voice] = {"voice": voice}
    if baseline is not None:
        _check_baseline(baseline, material)
        voices["baseline"] = baseline
    systems = {
        name: SpokenByVoice(name, each, recognizer, out, seed, temperature, duration_spread)
        for name, each in voices.items()
    }

    def judge(block: Block) -> list[Utterance]:
        real = [material.splits[block.split][i] for i in block.indices]
        if block.system == "ground_truth":
            return judge_real(real, block, recognizer)
        return systems[block.system].judge(block, real)

    return Evaluation(
        settings={
            "format": FORMAT,
            **{name: {"name": each.name, "sha256": voice_fingerprint(each)} for name, each in voices.items()},
            "seed": seed,
            "temperature": temperature,
            "duration_spread": duration_spread,
            "material": material_fingerprint(material),
            "recognizer": model_fingerprint(recognizer.net),
        },
        sizes={name: len(items) for name, items in material.splits.items()},
        systems=tuple(name for name in get_args(System) if name == "ground_truth" or name in voices),
        judge=judge,
        limits=material.limits,
        notes=material.notes,
        quality=(lambda judged: single_quality(judged, material, recognizer, out)) if material.reference else None,
    )


def of_files(
    rows: Sequence[FileRow],
    real: Sequence[Real],
    limits: Limits | None,
    recognizer: Recognizer,
    reference: Sequence[Real] = (),
) -> Evaluation:
    """Audio files of any system, as a manifest names them.

    Args:
        rows: what is in the files.
        real: a real sequence for each row, or none at all.
        limits: of real speech; None where there are no recordings: then nothing counts as over-run.
        reference: real single digits to compare the files' quality with, where each of them is one digit.
    """

    def judge(block: Block) -> list[Utterance]:
        if block.system == "ground_truth":
            return judge_real([real[i] for i in block.indices], block, recognizer)
        return [_judge_file(i, rows[i], real[i] if real else None, recognizer) for i in block.indices]

    def quality(_: Sequence[Utterance]) -> dict[str, dict[str, float]]:
        waves = {"voice": [audio.read(row.path) for row in rows], "ground_truth": real_waves(real)}
        return quality_of(waves, reference, recognizer)

    limits = limits or NO_LIMITS
    return Evaluation(
        settings={
            "format": FORMAT,
            "files": files_fingerprint(rows),
            "material": material_fingerprint(Material({FILES: list(real)}, limits, 0, [], list(reference))),
            "recognizer": model_fingerprint(recognizer.net),
        },
        sizes={FILES: len(rows)},
        systems=("voice", "ground_truth") if real else ("voice",),
        judge=judge,
        limits=limits,
        notes=[]
        if real
        else ["no real recordings were given: there is no ground truth, and nothing counts as over-run"],
        quality=quality if reference and len(rows) > 1 else None,
    )


def _judge_file(index: int, row: FileRow, real: Real | None, recognizer: Recognizer) -> Utterance:
    wave, rate = audio.read(row.path)
    return Utterance(
        split=FILES,
        index=index,
        system="voice",
        text=row.text,
        digits=digits(words(row.text)),
        speaker=row.speaker,
        recognized=recognizer.recognize([wave], rate)[0],
        sound=measure_sound(wave, rate),
        real_seconds=len(real.audio) / real.sample_rate if real else None,
        path=str(row.path),
    )


def judge_real(real: Sequence[Real], block: Block, recognizer: Recognizer) -> list[Utterance]:
    """The ground truth: real sequences as they are."""
    recognized = recognizer.recognize([item.audio for item in real], real[0].sample_rate)
    return [
        Utterance(
            split=block.split,
            index=index,
            system="ground_truth",
            text=item.text,
            digits=item.digits,
            speaker=item.speaker,
            recognized=answer,
            sound=measure_sound(item.audio, item.sample_rate, item.boundaries[:-1]),
            real_seconds=len(item.audio) / item.sample_rate,
            last_segment_seconds=float(np.diff([0, *item.boundaries])[-1]) / item.sample_rate,
        )
        for index, item, answer in zip(block.indices, real, recognized, strict=True)
    ]


def single_quality(
    judged: Sequence[Utterance], material: Material, recognizer: Recognizer, out: Path
) -> dict[str, dict[str, float]]:
    """FID, IS, mIS and AM of each system's single digits, against real training recordings."""
    waves = {"ground_truth": real_waves(material.splits["single"])}
    for item in judged:
        if item.split == "single" and item.path is not None:
            waves.setdefault(item.system, []).append(audio.read(out / item.path))
    return quality_of(waves, material.reference, recognizer)


def quality_of(
    waves: Mapping[str, Sequence[Wave]], reference: Iterable[Real], recognizer: Recognizer
) -> dict[str, dict[str, float]]:
    """FID, IS, mIS and AM of each system's clips of one digit, at least two, against real ones."""
    from tts.evaluation.quality import Clips, quality

    real = Clips.of(recognizer, real_waves(reference))
    return {system: quality(Clips.of(recognizer, each), real) for system, each in waves.items()}


def real_waves(real: Iterable[Real]) -> list[Wave]:
    """The audio of real sequences."""
    return [(item.audio, item.sample_rate) for item in real]


def utterance_seed(seed: int, split: str, index: int) -> int:
    """The seed that text `index` of a split is spoken with."""
    return int(np.random.default_rng([seed, SPLITS.index(split), index]).integers(2**63))


def has_likelihood(index: int, item: Real) -> bool:
    """Whether the likelihood of real sequence number `index` of a split is computed."""
    return index < LIKELIHOOD_TEXTS and len(item.digits) <= LIKELIHOOD_DIGITS


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
