"""The datasets that `tts data build` can build: recordings alone, and recordings joined into sequences.

In: a corpus and options. Out: a dataset folder, see `data_recipes.dataset`.
"""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.augment import AugmentOptions, augmenter
from data_recipes.corpus import Corpus, Recording
from data_recipes.dataset import Recipe, write_dataset
from data_recipes.reading import is_audio
from data_recipes.sequences import Sequence, SequenceOptions, SequenceStream, available_splits, fixed_split, join
from data_recipes.shards import Rows

ALONE = SequenceOptions(edge_seconds=(0, 0), dither=0)
"""A recording as it is."""


def build_corpus(
    corpus: Corpus, out: Path, force: bool = False, num_proc: int = 1, augmenting: AugmentOptions | None = None
) -> Path:
    """Write the recordings of a corpus, a row each; returns the folder. Raises InputError as `write_dataset`."""
    description = "Single words, each recording trimmed and leveled by itself; the splits are the corpus's own."
    recipe = Recipe(corpus, corpus.name, f"{corpus.title}, prepared", description, _recorded(augmenting))
    splits: dict[str, tuple[int, Rows]] = {
        name: (len(rows), partial(_alone, rows)) for name, rows in corpus.splits.items() if rows
    }
    _augment_train(splits, corpus, augmenting)
    return write_dataset(splits, recipe, out, force, num_proc)


def _alone(recordings: list[Recording], start: int, stop: int) -> Iterable[Sequence]:
    rng = np.random.default_rng()  # nothing that it draws is in them
    rows = (join([recording], ALONE, rng) for recording in recordings[start:stop])
    return (row if row.text else replace(row, words=[]) for row in rows)  # `folder` has no text


def _augment_train(splits: dict[str, tuple[int, Rows]], corpus: Corpus, options: AugmentOptions | None) -> None:
    """Augment the rows of `train`, in place."""
    if options is None or not options.changes:
        return
    apply = augmenter(options, corpus.options.sample_rate)
    count, plain = splits["train"]

    def rows(start: int, stop: int) -> Iterable[Sequence]:
        return map(apply, plain(start, stop), range(start, stop))

    splits["train"] = count, rows


def _recorded(options: AugmentOptions | None) -> dict[str, Any]:
    """What a card says of an augmentation: of the background a hash, not the path, which means nothing elsewhere."""
    if options is None or not options.changes:
        return {}
    recorded = {**asdict(options), "background": None}
    if options.background:
        files = sorted(path for path in options.background.rglob("*") if is_audio(path))
        digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
        recorded |= {"background": options.background.name, "background_sha256": digest.hexdigest()}
    return {"augment": recorded}


def build_sequences(
    corpus: Corpus,
    options: SequenceOptions,
    out: Path,
    count: int = 10_000,
    eval_count: int = 500,
    seed: int = 0,
    force: bool = False,
    num_proc: int = 1,
    augmenting: AugmentOptions | None = None,
) -> Path:
    """Write sequences of the corpus's recordings; returns the folder.

    `train` has `count` rows, augmented; every other split `eval_count`. One whose recordings are none is left out, with
    a note. Raises: InputError as `write_dataset`.
    """
    stream = SequenceStream(corpus.splits["train"], options, seed)

    def drawn(start: int, stop: int) -> Iterable[Sequence]:
        return map(stream.__getitem__, range(start, stop))

    @cache
    def fixed(name: str) -> list[Sequence]:
        return fixed_split(corpus.splits, options, name, eval_count, seed)

    def of_fixed(name: str) -> Rows:
        return lambda start, stop: fixed(name)[start:stop]

    splits: dict[str, tuple[int, Rows]] = {"train": (count, drawn)}
    left_out = []
    for name in available_splits(options, corpus.vocabulary):
        if corpus.splits["validation" if name == "validation" else "test"]:
            splits[name] = (eval_count, of_fixed(name))
        else:
            left_out.append(name)
    if left_out:
        note = f"the corpus has no recordings for {', '.join(left_out)}, which are left out"
        print(f"sequences: {note}", file=sys.stderr)
        corpus = replace(corpus, notes=[*corpus.notes, note])
    _augment_train(splits, corpus, augmenting)
    description = (
        "Recordings of one speaker joined with drawn silences. `train` joins training recordings, `validation` "
        "validation recordings, every other split test recordings. No combination of words of a hold-out in force is "
        "in `train`."
    )
    title = f"Spoken word sequences from {corpus.title}"
    drawn_options = {
        "corpus": corpus.name, "sequences": asdict(options), "count": count, "eval_count": eval_count, "seed": seed,
    }  # fmt: skip
    recipe = Recipe(corpus, "sequences", title, description, drawn_options | _recorded(augmenting))
    return write_dataset(splits, recipe, out, force, num_proc)
