"""The rows of a dataset that `tts data build` wrote, read from its shards as they are needed."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from data_recipes.dataset import read_recipe
from data_recipes.sequences import Sequence
from tts.audio import from_bytes
from tts.core.errors import InputError
from tts.core.messages import one_line

GROUPS_IN_MEMORY = 8
"""Row groups whose rows are shuffled together: 4,000 rows, some 60 MB of FLAC."""


def to_sequence(row: dict[str, Any]) -> Sequence:
    """A row as pyarrow gives it, its audio decoded."""
    fields = {name: value for name, value in row.items() if name not in ("audio", "digits")}
    audio, rate = from_bytes(row["audio"]["bytes"])
    return Sequence(audio=audio, sample_rate=rate, **fields)


def rows_of(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a dataset's split in their order, read as they are asked for."""
    from pyarrow.parquet import ParquetFile

    for shard in sorted(folder.glob(f"data/{split}-*.parquet")):
        with ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=100):
                yield from batch.to_pylist()


class ShuffledRows:
    """An endless series of a split's rows: epoch after epoch, each row once in each, in another order each time.

    Item i depends on the dataset, the seed and i only, so the series can be resumed at any index and shared out among
    processes. An epoch takes the row groups in a drawn order, `GROUPS_IN_MEMORY` at a time, and the rows of those in a
    drawn order. So much is in memory, however large the dataset is.
    """

    def __init__(self, folder: Path, split: str, seed: int) -> None:
        """Raises: InputError for a folder that is no dataset built here, is not whole, or lacks the split."""
        from pyarrow.parquet import ParquetFile

        splits = read_recipe(folder)["splits"]
        if split not in splits:
            raise InputError(f"{folder}: has no split {split}, only {', '.join(splits)}; build it anew")
        self._seed = seed
        self._groups: list[tuple[Path, int, int]] = []  # shard, number in it, rows
        for shard in sorted(folder.glob(f"data/{split}-*.parquet")):
            with ParquetFile(shard) as file:
                counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._groups += [(shard, i, rows) for i, rows in enumerate(counts)]
        self.rows = sum(rows for *_, rows in self._groups)
        self._epoch: tuple[int, list[list[tuple[Path, int, int]]], list[int]] = (-1, [], [])
        self._window: tuple[tuple[int, int], Any, np.ndarray] = ((-1, -1), None, np.zeros(0))

    def __getitem__(self, index: int) -> Sequence:
        """The row number `index` of the series, from 0."""
        epoch, place = divmod(index, self.rows)
        if self._epoch[0] != epoch:
            self._epoch = epoch, *self._windows(epoch)
        _, windows, ends = self._epoch
        number = bisect_right(ends, place)
        if self._window[0] != (epoch, number):
            self._window = (-1, -1), None, np.zeros(0)  # its memory is free before the next one is read
            rng = np.random.default_rng([self._seed, 4, epoch, number])
            table = _read(windows[number])
            self._window = (epoch, number), table, rng.permutation(len(table))
        _, table, order = self._window
        row = order[place - (ends[number - 1] if number else 0)]
        return to_sequence(table.slice(row, 1).to_pylist()[0])

    def _windows(self, epoch: int) -> tuple[list[list[tuple[Path, int, int]]], list[int]]:
        """The row groups of each of an epoch's windows, and how many rows lie before each window's end."""
        drawn = np.random.default_rng([self._seed, 3, epoch]).permutation(len(self._groups)).tolist()
        starts = range(0, len(drawn), GROUPS_IN_MEMORY)
        windows = [[self._groups[i] for i in drawn[start : start + GROUPS_IN_MEMORY]] for start in starts]
        return windows, list(accumulate(sum(rows for *_, rows in groups) for groups in windows))


def _read(groups: list[tuple[Path, int, int]]) -> Any:
    """The rows of these groups as a table, FLAC as it is. Raises: InputError for a shard that cannot be read."""
    from pyarrow import ArrowException, concat_tables
    from pyarrow.parquet import ParquetFile

    tables = []
    for shard, number, _ in groups:
        try:
            with ParquetFile(shard) as file:
                tables.append(file.read_row_group(number))
        except (OSError, ArrowException) as error:
            raise InputError(
                f"{shard}: cannot be read any more ({one_line(str(error))}); build the dataset again"
            ) from None
    return concat_tables(tables)
