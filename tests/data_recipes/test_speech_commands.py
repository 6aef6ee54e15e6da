"""Google Speech Commands: a miniature in its layout, as a folder and as an archive; the real one where it is there."""

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.miniature_fsdd import tone
from pyarrow import Table
from pyarrow.parquet import write_table

from data_recipes.corpora import EVERYONE, load_corpus
from data_recipes.corpus import RecordingOptions
from data_recipes.speech_commands import DIGITS, split_of_speaker
from data_recipes.speech_commands import load_corpus as load
from tts.core.errors import InputError

# By the corpus's hash: train, train, test, validation.
SPEAKERS = ("004ae714", "0132a06d", "0c40e715", "105a0eea")


def names(corpus) -> dict[str, list[str]]:
    return {split: [recording.id for recording in rows] for split, rows in corpus.splits.items()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech_commands")
    for digit, word in enumerate(DIGITS):
        (folder / word).mkdir()
        for number, speaker in enumerate(SPEAKERS):
            soundfile.write(folder / word / f"{speaker}_nohash_0.wav", tone(digit, number, 16_000), 16_000)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_" / "hum.wav", tone(0, 0), 16_000)
    return folder


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("speaker", "split"),
    [("0a7c2a8d", "train"), ("439c84f4", "train"), ("bdee441c", "train"), ("1ed557b9", "train")],
)
def test_which_set_known_values(speaker: str, split: str) -> None:
    """Values of the function `which_set` in the corpus's README, computed with its own text."""
    import hashlib

    percentage = (int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27) * (100.0 / (2**27 - 1))
    expected = "validation" if percentage < 10 else "test" if percentage < 20 else "train"
    assert split_of_speaker(speaker) == expected


def test_a_folder_and_its_archive_are_the_same(source: Path, tmp_path: Path) -> None:
    archive = tmp_path / "sc.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "./")
    corpus, packed = load(source), load(archive)
    assert names(corpus) == names(packed) and sum(map(len, corpus.splits.values())) == 40
    assert corpus.vocabulary == tuple(sorted(DIGITS)) and corpus.license == "cc-by-4.0"
    for split, rows in corpus.splits.items():
        assert all(split_of_speaker(row.speaker) == split and row.sample_rate == 8000 for row in rows)
        for row, other in zip(rows, packed.splits[split], strict=True):
            assert np.array_equal(row.audio, other.audio)
    assert corpus.splits["train"][0].speaker in SPEAKERS


def test_the_hub_has_it_as_parquet(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows: `file` "four/004ae714_nohash_0.wav", `audio` with bytes and path, and others that are not needed."""
    files = sorted(source.glob("*/*.wav"))
    for split, part in (("train", files[::2]), ("validation", files[1::2])):
        rows = {
            "file": [f"{path.parent.name}/{path.name}" for path in part],
            "audio": [{"bytes": path.read_bytes(), "path": path.name} for path in part],
            "label": list(range(len(part))),
        }
        shard = tmp_path / "v0.02" / split / "0000.parquet"
        shard.parent.mkdir(parents=True)
        write_table(Table.from_pydict(rows), shard, row_group_size=7)

    def download(repository: str, **options: object) -> str:
        assert (repository, options["revision"]) == ("google/speech_commands", "refs/convert/parquet")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    corpus, folder = load(Path("hub:google/speech_commands")), load(source)
    assert names(corpus) == names(folder)
    for split, rows in folder.splits.items():
        for row, other in zip(rows, corpus.splits[split], strict=True):
            assert np.array_equal(row.audio, other.audio)
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"0000\.parquet: cannot be read"):
        load(Path("hub:google/speech_commands"))

    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(InputError, match=r"cannot be had from the hub \(no route to host\); copy the corpus") as caught:
        load(Path("hub:google/speech_commands"))
    assert "\n" not in str(caught.value)


def test_sixteen_kilohertz_are_kept(source: Path) -> None:
    corpus = load(source, RecordingOptions(sample_rate=16_000), words=["four"])
    assert {row.sample_rate for row in corpus.splits["train"]} == {16_000}
    assert not any("resampled" in note for note in corpus.notes)


def test_missing_words(copy: Path) -> None:
    shutil.rmtree(copy / "two")
    for path in (copy / "zero").iterdir():  # words are missed before a file is read
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no recordings of two; name those that it has: --words zero one three"):
        load(copy)
    assert load(copy, words=["one", "four"]).vocabulary == ("four", "one")


def test_files_with_the_same_bytes_come_once(copy: Path) -> None:
    whole = load(copy)
    shutil.copy(copy / "one" / f"{SPEAKERS[0]}_nohash_0.wav", copy / "one" / f"{SPEAKERS[0]}_nohash_1.wav")
    corpus = load(copy)
    assert names(corpus) == names(whole)
    assert "1 files with the same bytes as another one were left out" in corpus.notes


def test_silent_and_clipped_files_are_counted(copy: Path) -> None:
    soundfile.write(copy / "one" / f"{SPEAKERS[0]}_nohash_0.wav", np.zeros(8000), 16_000)
    soundfile.write(copy / "two" / f"{SPEAKERS[0]}_nohash_0.wav", (100 * tone(2, 0, 16_000)).clip(-1, 1), 16_000)
    corpus = load(copy)
    assert "1 silent files were left out" in corpus.notes and "1 files are clipped; they were kept" in corpus.notes
    assert sum(map(len, corpus.splits.values())) == 39


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello, this is no audio at all"])
def test_unreadable_files_are_named(copy: Path, content: bytes) -> None:
    (copy / "one" / f"{SPEAKERS[0]}_nohash_0.wav").write_bytes(content)
    with pytest.raises(InputError, match=f"one/{SPEAKERS[0]}_nohash_0.wav") as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_a_cut_archive(source: Path, tmp_path: Path) -> None:
    archive = tmp_path / "sc.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "./")
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(InputError, match="is not a whole archive"):
        load(archive)
    archive.write_bytes(b"no archive")
    with pytest.raises(InputError, match="is not a whole archive"):
        load(archive)
    with pytest.raises(InputError, match="no such folder or archive"):
        load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not downloaded"):
        load(None)


def test_speakers(source: Path) -> None:
    corpus = load(source, speakers=[SPEAKERS[0]])
    assert {row.speaker for rows in corpus.splits.values() for row in rows} == {SPEAKERS[0]}
    with pytest.raises(InputError, match="no recordings of speaker nobody"):
        load(source, speakers=["nobody"])
    from data_recipes.corpus import CorpusOptions

    merged = load_corpus("speech_commands", source, options=CorpusOptions(one_speaker=True))
    assert {row.speaker for rows in merged.splits.values() for row in rows} == {EVERYONE}
    assert merged.notes[-1] == "4 speakers are taken as one"


def test_the_real_one() -> None:
    given = os.environ.get("SPEECH_COMMANDS_DIR", "")
    data = Path(given) if given else Path(__file__).parents[3] / "shared" / "data" / "speech_commands"
    if not (data / "zero").is_dir():
        pytest.skip("needs Google Speech Commands: set SPEECH_COMMANDS_DIR to its folder")
    corpus = load(data, words=["zero", "one"])
    assert corpus.splits["train"] and corpus.vocabulary == ("one", "zero")
