"""Sequences and recordings as `datasets`: rows, parquet shards, the card, the hub.

A dataset is a folder: README.md (the card, whose YAML header lists the splits), recipe.json (what was built, with
every option) and data/SPLIT-00000-of-00001.parquet. `datasets.load_dataset(folder)` reads it.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from data_recipes.corpus import Corpus
from data_recipes.sequences import Sequence
from tts.audio import to_bytes
from tts.core.errors import InputError
from tts.core.files import atomic_write, failure, is_empty, is_file, is_folder, kind
from tts.core.tables import markdown_table
from tts.text.normalize import is_digits

if TYPE_CHECKING:
    from datasets import Dataset, Features

ROWS_PER_SHARD = 4000
ROWS_PER_GROUP = 500  # what a streaming reader fetches at once
RECIPE_FILE = "recipe.json"


def features(sample_rate: int, digits: bool = True) -> "Features":
    """The columns of every dataset here; `digits` only where every word of the corpus is one."""
    from datasets import Audio, Features, List, Value

    return Features(
        {
            "audio": Audio(sampling_rate=sample_rate, decode=False),
            "text": Value("string"),
            "words": List(Value("string")),
            **({"digits": List(Value("int64"))} if digits else {}),
            "speaker": Value("string"),
            "takes": List(Value("string")),
            "boundaries": List(Value("int64")),
            "combination_split": Value("string"),
        }
    )


def sequences_dataset(sequences: Iterable[Sequence], digits: bool = True) -> "Dataset":
    """At least one sequence, all at one rate, as a `Dataset` in memory: audio as FLAC bytes (16 bit), not decoded."""
    from datasets import Dataset, Features, Value

    sequences = list(sequences)
    rate = sequences[0].sample_rate
    final = features(rate, digits)
    # Audio as a feature imports a decoder when rows are encoded; rows that are bytes already need only the cast.
    plain = Features({**final, "audio": {"bytes": Value("binary"), "path": Value("string")}})
    rows = {name: [getattr(item, name) for item in sequences] for name in final}
    rows["audio"] = [
        {"bytes": to_bytes(item.audio, rate, "FLAC"), "path": f"{item.speaker}_{item.text.replace(' ', '-')}.flac"}
        for item in sequences
    ]
    return Dataset.from_dict(rows, features=plain).cast_column("audio", final["audio"])


@dataclass(frozen=True)
class Recipe:
    """What is built of a corpus, for the card. options: every option beside the corpus's own, JSON types only."""

    corpus: Corpus
    name: str
    title: str
    description: str
    options: dict[str, Any] = field(default_factory=dict)


def check_output(out: Path, force: bool) -> None:
    """Raises: InputError if nothing can be written at out, or something is there that must not be replaced."""
    found = kind(out)
    if not is_folder(out.parent):
        raise InputError(f"{out}: its parent {out.parent} is not a folder; create it or choose another place")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"{out}: its parent {out.parent} is read-only; choose another place")
    if found not in ("nothing", "folder"):
        raise InputError(f"{out}: exists and is not a folder; choose another place")
    if is_empty(out):
        return
    if not force:
        raise InputError(f"{out}: exists and is not empty; choose another folder or replace it with --force")
    if not is_file(out / RECIPE_FILE):
        raise InputError(f"{out}: is not a dataset that was built here, so --force does not replace it; choose another")


def write_dataset(
    splits: Mapping[str, tuple[int, Iterable[Sequence]]], recipe: Recipe, out: Path, force: bool = False
) -> Path:
    """Write a dataset folder, whole or not at all. With force, an older one is replaced once the new one is whole.

    Args: splits, from a split's name to its number of rows and the rows, which may be drawn as they are written.

    Raises: InputError as `check_output`, or where the disk refuses.
    """
    out = Path(os.path.abspath(out))
    check_output(out, force)
    corpus = recipe.corpus
    made: dict[str, Any] = {
        "recipe": recipe.name,
        "source": corpus.source,
        "license": corpus.license,
        "sample_rate": corpus.options.sample_rate,
        "options": {"recordings": asdict(corpus.options), **recipe.options},
        "notes": corpus.notes,
        "splits": {},
    }
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name[:32]}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"cannot write {failure(error, out.parent)}") from None
    try:
        total = sum(count for count, _ in splits.values())
        with tqdm(total=total, desc=f"write {out.name}", unit="row") as bar:
            for name, (count, rows) in splits.items():
                made["splits"][name] = _write_split(
                    name, count, rows, temporary / "data", bar, is_digits(corpus.vocabulary)
                )
        atomic_write(temporary / RECIPE_FILE, (json.dumps(made, indent=2) + "\n").encode())
        atomic_write(temporary / "README.md", _card(recipe, made).encode())
        temporary.chmod(0o755)
        _replace(temporary, out)
    except OSError as error:
        raise InputError(f"cannot write {failure(error, out)}; nothing was kept") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _write_split(
    name: str, count: int, rows: Iterable[Sequence], folder: Path, bar: tqdm, digits: bool
) -> dict[str, Any]:
    """Write a split's shards; returns what `recipe.json` says of it."""
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    speakers: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    seconds = 0.0

    def counted() -> Iterator[Sequence]:
        nonlocal seconds
        for row in rows:
            speakers[row.speaker] += 1
            lengths[len(row.words)] += 1
            seconds += len(row.audio) / row.sample_rate
            bar.update()
            yield row

    stream = counted()
    shards = -(-count // ROWS_PER_SHARD)
    for shard in range(shards):
        path = folder / f"{name}-{shard:05d}-of-{shards:05d}.parquet"
        # One shard at a time in memory, and none of it in the cache of `datasets`.
        dataset = sequences_dataset(islice(stream, ROWS_PER_SHARD), digits)
        table = dataset.data.table.cast(dataset.features.arrow_schema)
        parquet.write_table(table, path, row_group_size=ROWS_PER_GROUP)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    assert speakers.total() == count and next(stream, None) is None, (name, speakers, count)
    return {
        "rows": count,
        "hours": round(seconds / 3600, 4),
        "speakers": dict(sorted(speakers.items())),
        "rows_by_number_of_digits": {str(number): times for number, times in sorted(lengths.items())},
    }


def _replace(temporary: Path, out: Path) -> None:
    """Rename, the older folder moved aside first and put back if that fails: a folder cannot be renamed over one."""
    if not out.exists():
        temporary.rename(out)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name[:32]}-old-", dir=out.parent)) / "dataset"
    out.rename(aside)
    try:
        temporary.rename(out)
    except OSError:
        aside.rename(out)
        raise
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)


def _card(recipe: Recipe, made: Mapping[str, Any]) -> str:
    splits = made["splits"]
    files = "".join(f"  - split: {name}\n    path: data/{name}-*.parquet\n" for name in splits)
    rows = [(name, f"{x['rows']:,}", f"{x['hours']:.3f}", ", ".join(x["speakers"])) for name, x in splits.items()]
    vocabulary = recipe.corpus.vocabulary
    example, digits = " ".join(vocabulary[:3]), "`digits`, " if is_digits(vocabulary) else ""
    notes = "\n".join(["Of this build:", "", *(f"- {note}" for note in made["notes"]), "", ""])
    return f"""---
pretty_name: {recipe.title}
license: {recipe.corpus.license}
language:
- en
task_categories:
- text-to-speech
configs:
- config_name: default
  data_files:
{files}---

# {recipe.title}

{recipe.description}

Source: {recipe.corpus.source}

{notes if made["notes"] else ""}{markdown_table(["split", "rows", "hours", "speakers"], rows)}

Columns: `audio` (FLAC bytes, 16 bit, mono, {made["sample_rate"]} Hz), `text` ("{example}"), `words`,
{digits}`speaker`, `takes` (ids of the recordings), `boundaries` (end sample of each word's segment; the last is the
number of samples) and
`combination_split` ("seen", or the hold-out that owns the words).

Built with twotier-tts, recipe `{recipe.name}`, and these options:

```json
{json.dumps(made["options"], indent=2)}
```
"""


def read_recipe(folder: Path) -> dict[str, Any]:
    """What `recipe.json` of a dataset folder says, its splits' row counts checked against the shards.

    Raises: InputError if the folder is not a dataset built here, or is not whole.
    """
    path = folder / RECIPE_FILE
    if not is_file(path):
        raise InputError(f"{folder}: is not a dataset built by `tts data build` (it has no {RECIPE_FILE})")
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        expected = {name: int(split["rows"]) for name, split in recipe["splits"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: cannot be understood; build the dataset again") from None
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    for name, rows in expected.items():
        found = 0
        for shard in sorted(folder.glob(f"data/{name}-*.parquet")):
            try:
                with ParquetFile(shard) as file:
                    found += file.metadata.num_rows
            except (OSError, ArrowException):
                raise InputError(f"{shard}: is not a whole parquet file; build the dataset again") from None
        if found != rows:
            raise InputError(f"{folder}: split {name} has {found} of its {rows} rows; build the dataset again")
    return recipe


def check_repo_id(repo_id: str) -> None:
    """Raises: InputError if this cannot be the name of a repository on the hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        raise InputError(f"{repo_id!r} is not the name of a hub repository; give OWNER/NAME") from None


def push_to_hub(folder: Path, repo_id: str) -> str:
    """Upload a dataset folder as it is; the repository is created if need be. Returns its address.

    Raises: InputError if the name is not one, the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    check_repo_id(repo_id)
    api = HfApi()
    try:
        url = api.create_repo(repo_id, repo_type="dataset", exist_ok=True)
        message = f"Add the dataset {folder.name}"
        api.upload_folder(repo_id=url.repo_id, folder_path=folder, repo_type="dataset", commit_message=message)
    except (HTTPError, OSError, ValueError) as error:  # no network, no log-in, no right to write
        reason = " ".join(str(error).split()) or type(error).__name__
        advice = f"log in with `hf auth login`; {folder} is kept"
        raise InputError(f"{repo_id}: cannot be pushed to the hub ({reason[:200]}); {advice}") from None
    return str(url)
