"""Sequences and recordings as `datasets`: rows, parquet shards, the card, the hub.

A dataset is a folder: README.md (the card, whose YAML header lists the splits), recipe.json (what was built, with
every option) and data/SPLIT-00000-of-00001.parquet. `datasets.load_dataset(folder)` reads it.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_recipes.corpus import Corpus
from data_recipes.sequences import Sequence
from data_recipes.shards import Facts, Rows, Shard, finish, partial_folder, write_shards
from tts.audio import to_bytes
from tts.core.errors import InputError
from tts.core.files import atomic_write, is_empty, is_file, is_folder, kind
from tts.core.messages import reason
from tts.core.tables import markdown_table
from tts.text.normalize import is_digits

if TYPE_CHECKING:
    import pyarrow
    from datasets import Features

ROWS_PER_SHARD = 2000
ROWS_PER_GROUP = 500  # what a streaming reader fetches at once
RECIPE_FILE = "recipe.json"
SHOWN_SPEAKERS = 20


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


def _table(sequences: list[Sequence], digits: bool) -> "pyarrow.Table":
    """At least one sequence as rows, with the schema by which `datasets` knows the features."""
    import pyarrow

    rate = sequences[0].sample_rate
    schema = features(rate, digits).arrow_schema
    rows = {name: [getattr(item, name) for item in sequences] for name in schema.names}
    rows["audio"] = [
        {"bytes": to_bytes(item.audio, rate, "FLAC"), "path": f"{item.speaker}_{item.text.replace(' ', '-')[:80]}.flac"}
        for item in sequences
    ]
    return pyarrow.Table.from_pydict(rows, schema=schema)


@dataclass(frozen=True)
class Recipe:
    """What is built of a corpus, for the card.

    options: every option beside the corpus's own, JSON types only. content: what tells one content of the corpus from
    another; empty: its recordings do.
    """

    corpus: Corpus
    name: str
    title: str
    description: str
    options: dict[str, Any] = field(default_factory=dict)
    content: str = ""


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
    splits: Mapping[str, tuple[int, Rows]], recipe: Recipe, out: Path, force: bool = False, num_proc: int = 1
) -> Path:
    """Write a dataset folder, whole or not at all. With force, an older one is replaced once the new one is whole.

    It is written shard by shard into a hidden folder beside `out`. What an interruption leaves there is used by the
    next build of the same rows, and discarded by that of others.

    Args: splits, from a split's name to its number of rows, and what gives those from one index to another, the same in
        whatever process and order they are asked for; num_proc, of which the files do not depend.

    Raises: InputError as `check_output`, where the disk refuses, or a process ends early.
    """
    out = Path(os.path.abspath(out))
    check_output(out, force)
    corpus = recipe.corpus
    made: dict[str, Any] = {
        "recipe": recipe.name,
        "source": corpus.source,
        "license": corpus.license,
        "sample_rate": corpus.options.sample_rate,
        "vocabulary": list(corpus.vocabulary),
        "languages": list(corpus.languages),
        "options": {"recordings": asdict(corpus.options), **recipe.options},
        "notes": corpus.notes,
        "splits": {},
    }
    shards = _shards({name: count for name, (count, _) in splits.items()})
    plan = json.dumps({**made, "content": recipe.content or _content(corpus), "shards": [list(one) for one in shards]})
    with partial_folder(out, plan) as temporary:
        (temporary / "data").mkdir(exist_ok=True)
        write = partial(write_parquet, digits=is_digits(corpus.vocabulary))
        facts = write_shards(shards, {name: rows for name, (_, rows) in splits.items()}, write, temporary, num_proc)
        for name in splits:
            made["splits"][name] = _summary([facts[shard] for shard in shards if shard.split == name])
        atomic_write(temporary / RECIPE_FILE, (json.dumps(made, indent=2) + "\n").encode())
        atomic_write(temporary / "README.md", _card(recipe, made).encode())
        finish(temporary)
        _replace(temporary, out)
    return out


def _shards(counts: Mapping[str, int]) -> list[Shard]:
    found = []
    for name, count in counts.items():
        total = -(-count // ROWS_PER_SHARD)
        for number in range(total):
            start = number * ROWS_PER_SHARD
            path = f"data/{name}-{number:05d}-of-{total:05d}.parquet"
            found.append(Shard(name, path, start, min(count, start + ROWS_PER_SHARD)))
    return found


def _content(corpus: Corpus) -> str:
    """A hash of all recordings: rows are drawn from them."""
    whole = hashlib.sha256()
    for name, recordings in corpus.splits.items():
        for recording in recordings:
            whole.update(f"{name} {recording.id} {recording.word} {recording.speaker}\n".encode())
            whole.update(np.ascontiguousarray(recording.audio).data)
    return whole.hexdigest()


def write_parquet(rows: Iterable[Sequence], path: Path, digits: bool) -> Facts:
    """Write one shard, a group of rows in memory at a time; returns what `recipe.json` says of it."""
    from pyarrow.parquet import ParquetWriter

    speakers: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    seconds = 0.0
    stream = iter(rows)
    writer = None
    try:
        while group := list(islice(stream, ROWS_PER_GROUP)):
            table = _table(group, digits)
            writer = writer or ParquetWriter(path, table.schema)
            writer.write_table(table)
            speakers.update(row.speaker for row in group)
            lengths.update(str(len(row.words)) for row in group)
            seconds += sum(len(row.audio) / row.sample_rate for row in group)
    finally:
        if writer is not None:
            writer.close()
    return {"rows": speakers.total(), "seconds": seconds, "speakers": speakers, "lengths": lengths}


def _summary(facts: list[Facts]) -> dict[str, Any]:
    speakers: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for one in facts:
        speakers.update(one["speakers"])
        lengths.update(one["lengths"])
    return {
        "rows": sum(one["rows"] for one in facts),
        "hours": round(sum(one["seconds"] for one in facts) / 3600, 4),
        "speakers": dict(sorted(speakers.items())),
        "rows_by_number_of_words": dict(sorted(lengths.items(), key=lambda pair: int(pair[0]))),
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
    rows = [(name, f"{x['rows']:,}", f"{x['hours']:.3f}", speakers_text(x["speakers"])) for name, x in splits.items()]
    languages = "".join(["language:\n", *(f"- {code}\n" for code in recipe.corpus.languages)])
    languages = languages if recipe.corpus.languages else ""
    vocabulary = recipe.corpus.vocabulary
    example, digits = " ".join(vocabulary[:3]), "`digits`, " if is_digits(vocabulary) else ""
    notes = "\n".join(["Of this build:", "", *(f"- {note}" for note in made["notes"]), "", ""])
    return f"""---
pretty_name: {recipe.title}
license: {recipe.corpus.license}
{languages}task_categories:
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
number of samples) and `combination_split` ("seen", or the hold-out that owns the words).

Built with twotier-tts, recipe `{recipe.name}`, and these options:

```json
{json.dumps(made["options"], indent=2)}
```
"""


def speakers_text(speakers: Iterable[str]) -> str:
    """The speakers on a line: the first of very many, and how many there are."""
    names = list(speakers)
    return ", ".join(names) if len(names) <= SHOWN_SPEAKERS else f"{', '.join(names[:3])} … ({len(names)} in all)"


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
        if missing := {"sample_rate", "vocabulary", "languages", "options"} - recipe.keys():
            raise KeyError(*missing)
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
        advice = f"log in with `hf auth login`; {folder} is kept"
        raise InputError(f"{repo_id}: cannot be pushed to the hub ({reason(error, 200)}); {advice}") from None
    return str(url)
