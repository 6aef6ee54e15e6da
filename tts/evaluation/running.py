"""An evaluation: every text spoken, judged by the recognizer, and the real recordings of the same texts judged alike.

The work is cut into blocks of consecutive texts of one split and one system. A block is a function of the settings
alone and its lines reach the disk together, so any number of processes share the blocks, a run that was stopped goes on
where it was, and the figures are always the same.

In the output folder:

- `settings.json`: what decides the figures; only a run with the same settings goes on in the folder;
- `part-*.jsonl`: the utterances of blocks done, one file for each process, while the run lasts;
- `utterances.jsonl`: all of them in order, `audio/SYSTEM/SPLIT/NNNN.flac`: what was spoken;
- `report.json`, `report.md`, `report.html`: written last, so a folder without `report.json` is a run to go on with.
"""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from tqdm import tqdm

from data_recipes.sequences import Sequence as Spoken
from tts import audio as audio_files
from tts.core import config as configs
from tts.core.errors import InputError
from tts.core.files import (
    atomic_write,
    check_folder,
    failure,
    is_empty,
    is_file,
    is_folder,
    kind,
    naming,
    new_folder,
    remove_contents,
)
from tts.evaluation.metrics import Limits, System, Utterance, measure_sound, summarize
from tts.evaluation.test_sets import SPLITS, Material
from tts.recognition.model import Recognizer
from tts.text.normalize import digits, words
from tts.voice import Audio, Voice

FORMAT = 2
BLOCK = 16
LIKELIHOOD_TEXTS = 100
"""So many real sequences of each split are scored for the likelihood, which needs no more and takes its time."""
LIKELIHOOD_DIGITS = 20
"""Longer ones are not scored: each is held in memory as a whole, a hundred digits in 2.5 GB."""

SETTINGS, LINES, REPORT = "settings.json", "utterances.jsonl", "report.json"
FILES = "files"
"""The name of the one split of a manifest."""


@dataclass(frozen=True)
class Processes:
    """Where this process stands among those of an `accelerate launch`; alone by default."""

    rank: int = 0
    world: int = 1
    wait: Callable[[], None] = lambda: None

    @classmethod
    def launched(cls) -> "Processes":
        """As the environment says."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        import torch
        from accelerate import PartialState

        state = PartialState(cpu=not torch.cuda.is_available())
        return cls(state.process_index, state.num_processes, state.wait_for_everyone)


@dataclass(frozen=True)
class Block:
    """Consecutive texts of one split, for one system."""

    system: System
    split: str
    indices: range


Judged = Callable[[Block], list[Utterance]]


@dataclass(frozen=True)
class Evaluation:
    """What to do: the blocks, how a block is done, and what the figures depend on."""

    settings: dict[str, Any]
    sizes: dict[str, int]
    """Texts in each split."""
    systems: tuple[System, ...]
    judge: Judged
    limits: Limits
    notes: list[str]
    quality: Callable[[Sequence[Utterance]], dict[str, dict[str, float]]] | None = None
    """Makes, of all utterances, the quality figures of each system on the split `single`, where that is asked for."""

    def blocks(self) -> list[Block]:
        """All blocks, in the order of the utterances."""
        return [
            Block(system, split, range(start, min(start + BLOCK, size)))
            for split, size in self.sizes.items()
            for system in self.systems
            for start in range(0, size, BLOCK)
        ]


# What there is to judge


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
    scorers: dict[System, Any] = {}

    def judge(block: Block) -> list[Utterance]:
        real = [material.splits[block.split][i] for i in block.indices]
        if block.system == "ground_truth":
            return judge_real(real, block, recognizer)
        speaking = voices[block.system]
        if block.system not in scorers and block.indices.start < LIKELIHOOD_TEXTS:
            from tts.evaluation.likelihood import LikelihoodScorer

            scorers[block.system] = LikelihoodScorer(speaking)
        spoken = speaking.speak_batch(
            [item.text for item in real],
            [item.speaker for item in real],
            [utterance_seed(seed, block.split, i) for i in block.indices],
            temperature=temperature,
            duration_spread=duration_spread,
        )
        recognized = recognizer.recognize([item.samples for item in spoken], speaking.sample_rate)
        made = []
        for index, item, said, answer in zip(block.indices, real, spoken, recognized, strict=True):
            path = Path("audio", block.system, block.split, f"{index:04d}.flac")
            (out / path.parent).mkdir(parents=True, exist_ok=True)
            audio_files.write(out / path, said.samples, said.sample_rate, force=True)
            made.append(
                Utterance(
                    split=block.split,
                    index=index,
                    system=block.system,
                    text=item.text,
                    digits=item.digits,
                    speaker=item.speaker,
                    recognized=answer,
                    sound=measure_sound(said.samples, said.sample_rate, joins(said)),
                    real_seconds=len(item.audio) / item.sample_rate,
                    last_segment_seconds=last_segment_seconds(said),
                    stop_reason=said.stop_reason,
                    forced_advances=said.forced_advances,
                    likelihood=scorers[block.system](item) if is_scored(index, item) else None,
                    path=str(path),
                )
            )
        return made

    return Evaluation(
        settings={
            "format": FORMAT,
            **{name: {"name": item.name, "sha256": voice_fingerprint(item)} for name, item in voices.items()},
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
    rows: "Sequence[FileRow]",
    real: Sequence[Spoken],
    limits: Limits | None,
    recognizer: Recognizer,
    reference: Sequence[Spoken] = (),
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
        made = []
        for index in block.indices:
            row = rows[index]
            wave, rate = audio_files.read(row.path)
            made.append(
                Utterance(
                    split=FILES,
                    index=index,
                    system="voice",
                    text=row.text,
                    digits=digits(words(row.text)),
                    speaker=row.speaker,
                    recognized=recognizer.recognize([wave], rate)[0],
                    sound=measure_sound(wave, rate),
                    real_seconds=len(real[index].audio) / real[index].sample_rate if real else None,
                    path=str(row.path),
                )
            )
        return made

    content = hashlib.sha256()
    for row in rows:
        content.update(f"{row.path}\0{row.text}\0{row.speaker}\0".encode(errors="surrogatepass"))
        content.update(row.path.read_bytes())
    real_content = material_fingerprint(Material({FILES: list(real)}, limits or NO_LIMITS, 0, [], list(reference)))

    def files_quality(_: Sequence[Utterance]) -> dict[str, dict[str, float]]:
        waves = {"voice": [audio_files.read(row.path) for row in rows], "ground_truth": real_waves(real)}
        return quality_of(waves, reference, recognizer)

    return Evaluation(
        settings={
            "format": FORMAT,
            "files": content.hexdigest(),
            "material": real_content,
            "recognizer": model_fingerprint(recognizer.net),
        },
        sizes={FILES: len(rows)},
        systems=("voice", "ground_truth") if real else ("voice",),
        judge=judge,
        limits=limits or NO_LIMITS,
        notes=[] if real else ["no real recordings were given: there is no floor, and nothing counts as over-run"],
        quality=files_quality if reference and len(rows) > 1 else None,
    )


def single_quality(
    judged: Sequence[Utterance], material: Material, recognizer: Recognizer, out: Path
) -> dict[str, dict[str, float]]:
    """FID, IS, mIS and AM of each system's single digits, against real training takes."""
    waves = {"ground_truth": real_waves(material.splits["single"])}
    for item in judged:
        if item.split == "single" and item.path is not None:
            waves.setdefault(item.system, []).append(audio_files.read(out / item.path))
    return quality_of(waves, material.reference, recognizer)


def real_waves(real: Iterable[Spoken]) -> list[tuple[np.ndarray, int]]:
    """The audio of real sequences, each with its sample rate."""
    return [(item.audio, item.sample_rate) for item in real]


def quality_of(
    waves: Mapping[str, Sequence[tuple[np.ndarray, int]]], reference: Iterable[Spoken], recognizer: Recognizer
) -> dict[str, dict[str, float]]:
    """FID, IS, mIS and AM of each system's clips of one digit, (wave, Hz), at least two, against real ones."""
    from tts.evaluation.quality import Clips, quality

    real = Clips.of(recognizer, real_waves(reference))
    return {system: quality(Clips.of(recognizer, each), real) for system, each in waves.items()}


NO_LIMITS = Limits(1e9, 1e9)


def judge_real(real: Sequence[Spoken], block: Block, recognizer: Recognizer) -> list[Utterance]:
    """The floor: real sequences as they are."""
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


def utterance_seed(seed: int, split: str, index: int) -> int:
    """The seed that text `index` of a split is spoken with."""
    return int(np.random.default_rng([seed, SPLITS.index(split), index]).integers(2**63))


def last_segment_seconds(said: Audio) -> float | None:
    """From the end of the last word but one; None where the voice has no pointer (`pooled`)."""
    before = joins(said)
    return None if before is None else (len(said.samples) - (before[-1] if before else 0)) / said.sample_rate


def is_scored(index: int, item: Spoken) -> bool:
    """Whether the likelihood of real sequence number `index` of a split is asked for."""
    return index < LIKELIHOOD_TEXTS and len(item.digits) <= LIKELIHOOD_DIGITS


def joins(said: Audio) -> list[int] | None:
    """The samples where a word's turn ends and another one's begins; None where the voice has no pointer (`pooled`)."""
    if said.stop_reason == "stop" and len(said.word_ends) != len(said.words):
        return None
    return said.word_ends[:-1] if said.stop_reason == "stop" else said.word_ends


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


# Manifests


@dataclass(frozen=True)
class FileRow:
    """One line of a manifest: a file and what should be heard in it."""

    path: Path
    text: str
    speaker: str


def read_manifest(manifest: Path, folder: Path) -> list[FileRow]:
    """The rows of a manifest: CSV with a header, or JSON lines where the name ends in .jsonl.

    Args:
        manifest: each row has `path` (relative to `folder`), `text` and maybe `speaker`.
        folder: where the files lie.

    Raises: InputError for a manifest that cannot be read, is empty, or lacks a column; a text that is no digit string;
        a file that is missing or not audio.
    """
    if not is_folder(folder):
        raise InputError(f"--wav-dir {folder}: no such folder")
    if not is_file(manifest):
        raise InputError(f"{manifest}: cannot be read, no file is there; give a CSV or .jsonl file in UTF-8")
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{manifest}: cannot be read ({error}); give a CSV or .jsonl file in UTF-8") from None
    rows = []
    for number, row in _manifest_rows(manifest, text):
        where = f"{manifest}, row {number}"
        missing = [name for name in ("path", "text") if not isinstance(row.get(name), str) or not row[name].strip()]
        if missing:
            raise InputError(f"{where}: has no {missing[0]}; each row needs path and text")
        path = folder / row["path"]
        try:
            words(row["text"])
            kind(path)  # refuses what can be no path
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        audio_files.read(path)  # all files before the first is judged
        rows.append(FileRow(path, row["text"], str(row.get("speaker") or "unknown")))
    if not rows:
        raise InputError(f"{manifest}: has no rows; give one for each file, with path and text")
    return rows


def _manifest_rows(manifest: Path, text: str) -> Iterable[tuple[int, dict[str, Any]]]:
    if manifest.suffix.lower() != ".jsonl":
        try:
            yield from enumerate(csv.DictReader(text.splitlines()), 1)
        except csv.Error as error:
            raise InputError(f"{manifest}: is not CSV ({error}); write a header path,text and one file a row") from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{manifest}, row {number}: is no JSON object; write one a line")
        yield number, row


# Running


def run(
    evaluation: Evaluation, out: Path, force: bool = False, processes: Processes | None = None, seed: int = 0
) -> tuple[dict[str, Any], list[Utterance]] | None:
    """Judge all that is not judged yet, merge, sum up. To be called in every process.

    Returns: on rank 0 the report's content and the utterances in order; None elsewhere. `report.json` is left to the
        caller, who writes it last.

    Raises: InputError where `out` holds something else, a finished report, or a run with other settings.
    """
    processes = processes or Processes()
    check_output(out, evaluation.settings, force)
    processes.wait()  # all have looked before one writes
    with _new_evaluation(out) if processes.rank == 0 else nullcontext():
        if processes.rank == 0:
            _prepare(out, evaluation.settings, force)
        processes.wait()
        utterances = _judge_blocks(evaluation, out, processes)
    if utterances is None:
        return None
    return {
        "quality": evaluation.quality(utterances) if evaluation.quality else {},
        "settings": evaluation.settings,
        "notes": evaluation.notes,
        "limits": {name: value for name, value in vars(evaluation.limits).items() if evaluation.limits != NO_LIMITS},
        "splits": {
            split: {
                system: summarize(
                    [x for x in utterances if (x.split, x.system) == (split, system)], evaluation.limits, seed
                )
                for system in evaluation.systems
            }
            for split in evaluation.sizes
        },
    }, utterances


def _judge_blocks(evaluation: Evaluation, out: Path, processes: Processes) -> list[Utterance] | None:
    """Judge this process's share of what is left; on rank 0 all utterances in order, None elsewhere."""
    blocks = evaluation.blocks()
    done = read_parts(out)
    processes.wait()  # all have read before one appends
    left = [block for block in blocks if not all(key in done for key in _keys(block))]
    mine = left[processes.rank :: processes.world]
    part = out / f"part-{processes.rank:05d}.jsonl"
    if is_file(part) and not part.read_bytes().endswith(b"\n"):
        _append(part, "\n")  # ends a line that a kill left half-written
    with tqdm(
        total=sum(len(block.indices) for block in mine), desc="evaluate", unit="text", disable=processes.rank != 0
    ) as bar:
        for block in mine:
            lines = [json.dumps(item.to_json()) for item in evaluation.judge(block)]
            _append(part, "\n".join(lines) + "\n")
            bar.update(len(lines))
    processes.wait()
    if processes.rank != 0:
        return None
    done = read_parts(out)
    return [done[key] for block in blocks for key in _keys(block)]


def finish(out: Path, report: Mapping[str, Any], utterances: Sequence[Utterance]) -> None:
    """Write `utterances.jsonl`, then `report.json`, and remove the parts."""
    atomic_write(out / LINES, "".join(json.dumps(item.to_json()) + "\n" for item in utterances).encode())
    atomic_write(out / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    for part in out.glob("part-*.jsonl"):
        part.unlink()


def check_output(out: Path, settings: Mapping[str, Any], force: bool) -> None:
    """Raises: InputError where a run with these settings can neither begin nor go on."""
    check_folder(out, "--out")
    if is_empty(out):
        return
    if not is_file(out / SETTINGS):
        raise InputError(f"--out {out}: holds something else than an evaluation; name another folder")
    if force:
        return
    if is_file(out / REPORT):
        raise InputError(f"--out {out}: holds a finished evaluation; name another folder, or replace it with --force")
    found = _read_settings(out)
    differ = sorted(name for name in {*found, *settings} if found.get(name) != settings.get(name))
    if differ:
        raise InputError(
            f"--out {out}: holds an unfinished evaluation with other settings ({', '.join(differ)}); "
            "name another folder, or replace it with --force"
        )


def _read_settings(out: Path) -> dict[str, Any]:
    try:
        found = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}


def _prepare(out: Path, settings: Mapping[str, Any], force: bool) -> None:
    """The folder with the settings and nothing else, or the one to resume in."""
    try:
        if force:
            for path in (*out.glob("part-*.jsonl"), *out.glob("report.*"), out / LINES):
                path.unlink(missing_ok=True)
            shutil.rmtree(out / "audio", ignore_errors=True)
        atomic_write(out / SETTINGS, (json.dumps(settings, indent=1) + "\n").encode())
    except OSError as error:
        raise InputError(f"cannot write --out {failure(error, out)}") from None


@contextmanager
def _new_evaluation(out: Path) -> Iterator[None]:
    """A context that makes the folder. An error leaves what was there before, and what a later run can resume from:
    where no block has been finished, a folder that was missing or empty is so again."""
    was_empty = is_empty(out)
    with new_folder(out):
        try:
            yield
        except BaseException:  # also when interrupted
            if was_empty and not read_parts(out):
                remove_contents(out)
            raise


def _append(part: Path, lines: str) -> None:
    with naming(part), part.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _keys(block: Block) -> list[tuple[str, str, int]]:
    return [(block.system, block.split, index) for index in block.indices]


def read_parts(out: Path) -> dict[tuple[str, str, int], Utterance]:
    """What is judged already; a line that a kill left half-written counts as absent."""
    done: dict[tuple[str, str, int], Utterance] = {}
    for part in sorted(out.glob("part-*.jsonl")):
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                item = Utterance.from_json(json.loads(line))
            except (ValueError, TypeError, KeyError):
                continue
            done[item.system, item.split, item.index] = item
    return done


# Fingerprints


def model_fingerprint(model: Any) -> str:
    """SHA-256 of a torch module's weights."""
    content = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode())
        content.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return content.hexdigest()


def voice_fingerprint(voice: Voice) -> str:
    """SHA-256 of a voice's weights and description."""
    description = json.dumps(configs.to_dict(voice.config), sort_keys=True)
    return hashlib.sha256((model_fingerprint(voice.model()) + description).encode()).hexdigest()


def material_fingerprint(material: Material) -> str:
    """SHA-256 of texts, speakers and recordings."""
    content = hashlib.sha256(json.dumps([vars(material.limits), material.sample_rate]).encode())
    for name, items in {**material.splits, "reference": material.reference}.items():
        content.update(f"{name} {len(items)}\n".encode())
        for item in items:
            content.update(f"{item.text}\0{item.speaker}\0{item.boundaries}\0".encode())
            content.update(np.ascontiguousarray(item.audio).tobytes())
    return content.hexdigest()
