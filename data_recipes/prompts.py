"""Prompts: one person's recordings of words, as telephone systems, clocks and screen readers have them.

Three layouts are known. Several voices in one folder, or several folders, are several speakers.

- Asterisk's core sounds: `VOICE/{digits,letters,phonetic}/NAME.g722` (or .wav, .gsm, .ulaw ...). VOICE begins with
  its language: `en_US_f_Allison`. By Digium and others, CC BY-SA 3.0 (en, es, fr) and CC BY 3.0 (it, ru).
- FreeSWITCH's sounds: `en/us/callie/{digits,time,ascii,phonetic-ascii}/RATE/NAME.wav`; the highest rate is read.
- Any folder of `{word}.wav`, with an optional `words.csv`, a table with the columns file and word.

One take a word is enough: the same recording is then in `train`, `validation` and `test`, whose sequences differ by
their words' order and silences only.
"""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from data_recipes.corpus import SPLITS, Corpus, Recording, RecordingOptions, prepare
from data_recipes.prompt_words import KINDS, LANGUAGES, words_of
from data_recipes.reading import SUFFIXES, is_audio, is_clipped, read_recording
from tts.audio import resample
from tts.core.errors import InputError
from tts.core.files import is_file, is_folder
from tts.core.messages import one_line
from tts.text.normalize import check_vocabulary

TITLE = "Recorded prompts"
ASTERISK = "Asterisk core sounds 1.6.1, https://downloads.asterisk.org/pub/telephony/sounds/"
LICENSES = {"en": "cc-by-sa-3.0", "es": "cc-by-sa-3.0", "fr": "cc-by-sa-3.0", "it": "cc-by-3.0", "ru": "cc-by-3.0"}
"""Of Asterisk's core sounds, by language."""
VOICE_NAME = re.compile(r"([a-z]{2})(?:[_-].*)?", re.IGNORECASE)
TABLE = "words.csv"


@dataclass(frozen=True)
class _Prompt:
    path: Path
    word: str


@dataclass(frozen=True)
class _Voice:
    name: str
    folder: Path
    telephone: bool
    """Whether its files lie in Asterisk's or FreeSWITCH's layout, which is by language."""
    language: str | None


def load_corpus(
    sources: Path | Sequence[Path] | None,
    options: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    progress: bool = False,
    words: Sequence[str] | None = None,
    languages: Sequence[str] = (),
) -> Corpus:
    """Read, check and prepare the recordings.

    Args: sources, folders, each of one voice or of several; speakers, names of their folders; words, each of which must
        be there of one voice at least; languages, one for all sources or one for each, needed where no folder's name
        begins with one. None takes all speakers, all words that are known.

    Raises: InputError for a voice without a known language, a missing word or speaker, two files of one voice with one
    name or word, and a file that is empty, silent, clipped or cannot be read, which it names.
    """
    options = options or RecordingOptions()
    given = [sources] if isinstance(sources, Path) else list(sources or ())
    if not given:
        raise InputError("prompts are not downloaded; name a folder with recordings of words as the source")
    voices = _chosen(list(_voices(given, languages)), speakers)
    wanted = None if words is None else set(words)
    recordings: list[Recording] = []
    unknown = resampled = again = 0
    for voice in tqdm(voices, desc="prompts", unit="voice", disable=not progress):
        prompts, ignored = _prompts(voice)
        unknown += ignored
        takes: dict[str, int] = {}
        for prompt in prompts:
            if wanted is not None and prompt.word not in wanted:
                continue
            take = takes[prompt.word] = takes.get(prompt.word, -1) + 1
            again += take > 0
            wave, rate = read_recording(prompt.path)
            resampled += rate != options.sample_rate
            if is_clipped(wave):
                raise InputError(f"{one_line(str(prompt.path))}: is clipped; record it again at a lower level")
            audio = prepare(resample(wave, rate, options.sample_rate), options)
            if audio is None:
                raise InputError(f"{one_line(str(prompt.path))}: holds only silence; replace or remove it")
            name = f"{prompt.word}_{voice.name}_{take}"
            recordings.append(Recording(audio, prompt.word, voice.name, take, options.sample_rate, name))
    _check_words(wanted, {recording.word for recording in recordings}, given)
    recordings.sort(key=lambda one: (one.speaker, one.word, one.take))
    said = ", ".join(f"{voice.name} ({voice.language or 'language not given'})" for voice in voices)
    notes = [f"voices: {said}", "every recording is in train, validation and test: there is one take a word"]
    if again:
        notes.append(f"{again} recordings say a word that another prompt of the voice says; they are further takes")
    if unknown:
        notes.append(f"{unknown} files were left out: what they say is not known or not one word")
    if resampled:
        notes.append(f"{resampled} of {len(recordings)} files were resampled to {options.sample_rate} Hz")
    for note in notes[1:]:
        print(f"prompts: {note}", file=sys.stderr)
    source, license_id = _origin(voices)
    splits = {name: list(recordings) for name in SPLITS}
    spoken = tuple(dict.fromkeys(voice.language for voice in voices if voice.language))
    return Corpus(splits, notes, options, "prompts", TITLE, source, license_id, spoken)


def _origin(voices: Sequence[_Voice]) -> tuple[str, str]:
    """Where voices come from, and the license. Of folders that are not known, only the user can say that."""
    asterisk = all(voice.telephone and re.match(r"[a-z]{2}_[A-Z]{2}_[fm]_", voice.name) for voice in voices)
    if not asterisk:
        return "recordings of the user's own: " + ", ".join(voice.name for voice in voices), "unknown"
    licenses = {LICENSES[voice.language or ""] for voice in voices}
    return ASTERISK, "cc-by-sa-3.0" if "cc-by-sa-3.0" in licenses else "cc-by-3.0"


def _voices(sources: Sequence[Path], languages: Sequence[str]) -> Iterator[_Voice]:
    """Every voice in the folders. Raises: InputError as `load_corpus`."""
    if strangers := [language for language in languages if language not in LANGUAGES]:
        raise InputError(f"language {strangers[0]!r} has no table of prompts; choose among {', '.join(LANGUAGES)}")
    if len(languages) not in (0, 1, len(sources)):
        found = f"{len(languages)} languages for {len(sources)} folders"
        raise InputError(f"{found}; give one language for all, or one for each folder")
    for number, source in enumerate(sources):
        language = languages[number % len(languages)] if languages else None
        if not is_folder(source):
            raise InputError(f"{source}: no such folder; give a folder with recordings of words as the source")
        folder = source.resolve()
        places = list(_found(folder))
        if not places:
            raise InputError(
                f"{source}: no recordings of words there; it must hold digits/7.wav and the like, or files named "
                f"WORD.wav ({', '.join(SUFFIXES)})"
            )
        for place, telephone in places:
            spoken = language or _language(place, folder)
            if telephone and spoken is None:
                raise InputError(
                    f"{place}: the language is not known from the folder's name; "
                    f"give it: --language {'|'.join(LANGUAGES)}"
                )
            yield _Voice(place.name, place, telephone, spoken)


def _found(folder: Path) -> Iterator[tuple[Path, bool]]:
    """The voices in a folder: where each lies, and whether in a telephone system's layout."""
    if folder.name in KINDS and any(map(is_audio, folder.iterdir())):
        raise InputError(f"{folder}: is a part of a voice's folder; give the one around it, {folder.parent}")
    if _is_plain(folder):
        yield folder, False
        return
    telephone = sorted({path.parent for path in folder.rglob("digits") if path.is_dir()})
    for place in telephone:
        yield place, True
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and path not in telephone):
        if place.name not in KINDS and _is_plain(place):
            yield place, False


def _is_plain(folder: Path) -> bool:
    # A voice of Asterisk's has other prompts beside the folders of words.
    if (folder / "digits").is_dir():
        return False
    return (folder / TABLE).is_file() or any(map(is_audio, folder.iterdir()))


def _language(place: Path, top: Path) -> str | None:
    """From the name of a voice's folder or one around it, up to the source and that around it."""
    for folder in (place, *place.parents):
        match = VOICE_NAME.fullmatch(folder.name)
        if match and match[1].lower() in LANGUAGES:
            return match[1].lower()
        if folder == top.parent:
            break
    return None


def _chosen(voices: list[_Voice], speakers: Sequence[str] | None) -> list[_Voice]:
    names = [voice.name for voice in voices]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two voices are called {twice[0]}; a folder's name is the speaker's: rename one of them")
    if strangers := [name for name in speakers or () if name not in names]:
        raise InputError(f"speaker {strangers[0]!r} has no folder; choose among {', '.join(names)}")
    return [voice for voice in voices if speakers is None or voice.name in speakers]


def _prompts(voice: _Voice) -> tuple[list[_Prompt], int]:
    """A voice's prompts whose word is known, and how many files say what is not."""
    if not voice.telephone:
        return _plain_prompts(voice.folder)
    prompts, ignored = [], 0
    for kind in sorted((path.name for path in voice.folder.iterdir() if path.name in KINDS), key=KINDS.__getitem__):
        names = words_of(voice.language or "", kind)
        files = _by_name(_highest_rate(voice.folder / kind))
        known = [_Prompt(files[name], names[name]) for name in sorted(files) if name in names]
        prompts += known
        ignored += len(files) - len(known)
    return prompts, ignored


def _highest_rate(folder: Path) -> Path:
    rates = [int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return folder / str(max(rates)) if rates else folder


def _by_name(folder: Path) -> dict[str, Path]:
    """The audio files of a folder by their names without suffix."""
    files: dict[str, Path] = {}
    for path in sorted(filter(is_audio, folder.iterdir())):
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem].name} beside it has the same name; remove one of the two")
        files[path.stem] = path
    return files


def _plain_prompts(folder: Path) -> tuple[list[_Prompt], int]:
    table = folder / TABLE
    if is_file(table):
        prompts = list(_rows(table))
    else:
        prompts = [_Prompt(path, name.lower()) for name, path in _by_name(folder).items()]
    of_word: dict[str, Path] = {}
    for prompt in prompts:
        try:
            check_vocabulary([prompt.word])
        except InputError:
            found = f"{one_line(str(prompt.path))}: {prompt.word!r} is not one word"
            raise InputError(f"{found}; name the file after the word, or list it in {TABLE}") from None
        if prompt.word in of_word:
            other = of_word[prompt.word].name
            raise InputError(f"{prompt.path}: says {prompt.word!r}, as {other} does; keep one recording of each word")
        of_word[prompt.word] = prompt.path
    listed = {prompt.path for prompt in prompts}
    return prompts, sum(1 for path in folder.iterdir() if is_audio(path) and path not in listed)


def _rows(table: Path) -> Iterator[_Prompt]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"file", "word"} <= set(rows.fieldnames or ()):
                raise InputError(f"{table}: has no columns file,word; its first line must name them")
            for row in rows:
                path = table.parent / (row["file"] or "")
                if not row["file"] or not path.is_file():
                    raise InputError(f"{table}, line {rows.line_num}: there is no file {row['file']!r}; correct it")
                yield _Prompt(path, (row["word"] or "").strip().lower())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: cannot be read as a table ({error}); write it as CSV in UTF-8") from None


def _check_words(wanted: set[str] | None, found: set[str], sources: Sequence[Path]) -> None:
    where = ", ".join(map(str, sources))
    if missing := sorted((wanted or set()) - found):
        raise InputError(f"{where}: no recording says {', '.join(missing[:8])}; leave them out of --words")
    if not found:
        raise InputError(f"{where}: no recording says a word that is known; name the files after their words")
