"""The datasets that `tts data build` can build: recordings alone, and recordings joined into sequences.

In: a corpus and options. Out: a dataset folder, see `data_recipes.dataset`.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data_recipes.corpus import Corpus
from data_recipes.dataset import Recipe, write_dataset
from data_recipes.sequences import Sequence, SequenceOptions, SequenceStream, available_splits, fixed_split, join

ALONE = SequenceOptions(edge_seconds=(0, 0), dither=0)
"""A recording as it is."""


def build_fsdd(corpus: Corpus, out: Path, force: bool = False) -> Path:
    """Write the recordings of a corpus, a row each; returns the folder. Raises InputError as `write_dataset`."""
    description = (
        "Single spoken digits. Takes 0-4 of every speaker and digit are `test`, 5-7 `validation`, the others `train`."
    )
    recipe = Recipe(corpus, "fsdd", "Free Spoken Digit Dataset, prepared", description)
    rng = np.random.default_rng()  # nothing that it draws is in them
    splits = {name: (len(rows), (join([row], ALONE, rng) for row in rows)) for name, rows in corpus.splits.items()}
    return write_dataset(splits, recipe, out, force)


def build_sequences(
    corpus: Corpus,
    options: SequenceOptions,
    out: Path,
    count: int = 10_000,
    eval_count: int = 500,
    seed: int = 0,
    force: bool = False,
) -> Path:
    """Write sequences of the corpus's recordings; returns the folder.

    Args:
        corpus: recordings by split.
        options: how they are joined, and which combinations are held out.
        out: the folder.
        count: rows of `train`.
        eval_count: rows of every other split.
        seed: of all draws.
        force: replace a dataset that was built there before.

    Raises: InputError as `write_dataset`.
    """
    stream = SequenceStream(corpus.splits["train"], options, seed)
    splits: dict[str, tuple[int, Iterable[Sequence]]] = {"train": (count, map(stream.__getitem__, range(count)))}
    for name in available_splits(options, corpus.vocabulary):
        splits[name] = (eval_count, fixed_split(corpus.splits, options, name, eval_count, seed))
    description = (
        "Recordings of one speaker joined with drawn silences. `train` joins training recordings, `validation` "
        "validation recordings, every other split test recordings. No combination of words of a hold-out in force is "
        "in `train`."
    )
    title = "Spoken digit sequences from the Free Spoken Digit Dataset"
    drawn = {"sequences": asdict(options), "count": count, "eval_count": eval_count, "seed": seed}
    return write_dataset(splits, Recipe(corpus, "sequences", title, description, drawn), out, force)
