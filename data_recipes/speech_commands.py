"""Google Speech Commands: one-second recordings of single words by hundreds of speakers, 16 kHz, mono.

License CC BY 4.0, by Pete Warden, Google (arXiv 1804.03209). Version 0.02 has 105,829 recordings of 35 words by 2,618
speakers, of the ten digits 38,908. Layout: `{word}/{speaker}_nohash_{n}.wav`, as a folder or as the corpus's own
archive, speech_commands_v0.02.tar.gz, which is read without being unpacked.

The split is the corpus's own, of its README: the SHA-1 of the part of the name before `_nohash_`, so that no speaker is
in two splits. The hub's `google/speech_commands` is a loading script, which `datasets` no longer runs; what is read of
it are the parquet files that the hub itself made.
"""

import hashlib
import re
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from data_recipes.corpus import SPLITS, Corpus, Recording, RecordingOptions, prepare
from data_recipes.reading import is_clipped
from tts.audio import read_channels, resample, to_mono
from tts.core.errors import InputError
from tts.core.files import kind
from tts.core.messages import one_line, reason

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LICENSE = "cc-by-4.0"
SOURCE = "Speech Commands by Pete Warden (Google), CC BY 4.0, https://arxiv.org/abs/1804.03209"
TITLE = "Google Speech Commands"
MAX_NUM_WAVS_PER_CLASS = 2**27 - 1
VALIDATION_PERCENT = TESTING_PERCENT = 10.0
NAME = re.compile(r"([^/]+)/([^/]+)_nohash_(\d+)\.wav")
MAX_MEMBER_BYTES = 1 << 22
HUB = "hub:"
"""Before the name of a repository, as the source."""
HUB_REVISION, HUB_CONFIG = "refs/convert/parquet", "v0.02"


def split_of_speaker(speaker: str) -> str:
    """The split of all recordings of a speaker: `which_set` of the corpus's README, with 10 % and 10 %."""
    value = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (MAX_NUM_WAVS_PER_CLASS + 1)
    percentage = value * (100.0 / MAX_NUM_WAVS_PER_CLASS)
    if percentage < VALIDATION_PERCENT:
        return "validation"
    return "test" if percentage < VALIDATION_PERCENT + TESTING_PERCENT else "train"


def load_corpus(
    source: Path | None,
    options: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    progress: bool = False,
    words: Sequence[str] = DIGITS,
) -> Corpus:
    """Read, check and prepare the corpus.

    Args: source, a folder in its layout, the archive (.tar.gz), or "hub:google/speech_commands"; speakers, as in the
        files' names; None takes all; words, all of which must be there.

    Returns: recordings ordered by word, speaker and number. Left out, and counted in the notes, are files of which
    another one, earlier in that order, has the same bytes, and those that are silent. Clipped ones are counted.

    Raises: InputError for a word or speaker that is not there, or a file that cannot be read, which it names.
    """
    options = options or RecordingOptions()
    if source is None:
        raise InputError(
            "speech_commands is not downloaded unasked; give its folder, speech_commands_v0.02.tar.gz or "
            f"{HUB}google/speech_commands as source"
        )
    words = tuple(dict.fromkeys(words))
    found: dict[tuple[str, str, int], tuple[str, Recording]] = {}
    silent = clipped = resampled = 0
    present: set[str] = set()
    for word, speaker, take, path, name in tqdm(
        _files(Path(source), words), desc="speech_commands", unit="recording", disable=not progress
    ):
        present.add(word)
        if speakers is not None and speaker not in speakers:
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if kind(path) == "file" else ""
        try:
            channels, rate = read_channels(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), one_line(name))) from None
        wave = to_mono(channels, name)
        audio = prepare(resample(wave, rate, options.sample_rate), options)
        if audio is None:
            silent += 1
            continue
        resampled += rate != options.sample_rate
        clipped += is_clipped(wave)
        recording = Recording(audio, word, speaker, take, options.sample_rate, f"{word}_{speaker}_{take}")
        found[word, speaker, take] = digest, recording
    _check_words(Path(source), words, present)
    known = {speaker for _, speaker, _ in found}
    if strangers := [name for name in speakers or () if name not in known]:
        raise InputError(f"{source}: has no recordings of speaker {strangers[0]}; speakers are in the files' names")
    splits: dict[str, list[Recording]] = {name: [] for name in SPLITS}
    seen: set[str] = set()
    for _, (digest, recording) in sorted(found.items()):
        if digest not in seen:
            splits[split_of_speaker(recording.speaker)].append(recording)
        seen.add(digest)
    notes = [
        text
        for count, text in (
            (len(found) - len(seen), "files with the same bytes as another one were left out"),
            (clipped, "files are clipped; they were kept"),
            (silent, "silent files were left out"),
            (resampled, f"files were resampled to {options.sample_rate} Hz"),
        )
        if count
        for text in [f"{count} {text}"]
    ]
    notes += [f"no speaker's hash is that of the split {name}, so it is empty" for name in SPLITS if not splits[name]]
    for note in notes:
        print(f"speech_commands: {note}", file=sys.stderr)
    return Corpus(splits, notes, options, "speech_commands", TITLE, SOURCE, LICENSE)


def _files(source: Path, words: Sequence[str]) -> Iterator[tuple[str, str, int, Path, str]]:
    """Word, speaker, number, a file with the content, and its name for messages; of an archive, one at a time."""
    found = kind(source)
    if not str(source).startswith(HUB):
        if found == "nothing":
            advice = f"give Speech Commands, or its .tar.gz, as the source, or {HUB}google/speech_commands"
            raise InputError(f"{source}: no such folder or archive; {advice}")
        if found == "folder":
            matches = {
                word: [(path, match) for path in paths if (match := NAME.fullmatch(f"{word}/{path.name}"))]
                for word in words
                for paths in [sorted((source / word).glob("*.wav"))]
            }
            _check_words(source, words, {word for word in words if matches[word]})  # before the work, not after it
            for word in words:
                for path, match in matches[word]:
                    yield word, match[2], int(match[3]), path, str(path)
            return

    def match_of(name: str) -> re.Match[str] | None:
        match = NAME.fullmatch("/".join(Path(name).parts[-2:]))
        return match if match and match[1] in words else None

    packed = (
        _of_hub(str(source)[len(HUB) :], match_of) if str(source).startswith(HUB) else _of_archive(source, match_of)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "member.wav"
        for match, name, content in packed:
            path.write_bytes(content)
            yield match[1], match[2], int(match[3]), path, f"{source}: {name}"


def _of_archive(
    source: Path, match_of: Callable[[str], re.Match[str] | None]
) -> Iterator[tuple[re.Match[str], str, bytes]]:
    try:
        with tarfile.open(source, "r|*") as tar:
            for member in tar:
                match = match_of(member.name)
                if match and member.isfile() and member.size <= MAX_MEMBER_BYTES:
                    content = tar.extractfile(member)
                    assert content is not None
                    yield match, member.name, content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        message = f"{source}: is not a whole archive ({error}); copy or download it again, or give a folder"
        raise InputError(message) from None


def _of_hub(
    repository: str, match_of: Callable[[str], re.Match[str] | None]
) -> Iterator[tuple[re.Match[str], str, bytes]]:
    """The recordings in the parquet files that the hub has made of a dataset, kept in the hub's own cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    pattern = f"{HUB_CONFIG}/*/*.parquet"
    try:
        folder = snapshot_download(repository, repo_type="dataset", revision=HUB_REVISION, allow_patterns=pattern)
    except (HTTPError, OSError, ValueError) as error:  # no network, no such repository
        advice = "copy the corpus here and give its folder or archive as the source"
        raise InputError(f"{HUB}{repository}: cannot be had from the hub ({reason(error, 200)}); {advice}") from None
    for shard in sorted(Path(folder).glob(pattern)):
        try:
            with ParquetFile(shard) as file:
                for batch in file.iter_batches(batch_size=100, columns=["file", "audio"]):
                    for row, name in enumerate(batch["file"].to_pylist()):
                        if match := match_of(name):
                            yield match, name, batch["audio"][row].as_py()["bytes"]
        except (OSError, ArrowException) as error:
            raise InputError(f"{shard}: cannot be read ({one_line(str(error))}); remove it, and try again") from None


def _check_words(source: Path, words: Sequence[str], present: set[str]) -> None:
    if missing := [word for word in words if word not in present]:
        there = ", ".join(word for word in words if word in present)
        advice = f"name those that it has: --words {there.replace(',', '')}" if there else "choose another folder"
        raise InputError(f"{source}: has no recordings of {', '.join(missing)}; {advice}")
