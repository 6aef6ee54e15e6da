"""Synthetic recordings of words, said by eSpeak NG, a formant synthesizer: any voices, any words, no download.

Pass `voices`, a number, for voices out of a fixed list, or name them: `en-us+f3@45` is an accent, a variant (male or
female timbre) and a pitch of 0 to 100, all of eSpeak's. A voice says each word `takes` times, at a rate and with an
intonation that are drawn for each take. Takes 0 and 1 are `test`, take 2 is `validation`, the others are `train`.

Ends of words are exact: a recording begins with its first phoneme and ends with its last one, by eSpeak's own events,
and the silences between words are ours. eSpeak's state leaks from call to call, so the library is loaded anew for each
recording: it depends on nothing else, however many processes make them.

The wheel espeakng-loader carries eSpeak NG 1.52, which is under the GNU GPL, version 3 or later. So it is an extra,
`pip install "twotier-tts[espeak]"`, and nothing of it is part of this package.
"""

import _ctypes
import contextlib
import ctypes
import hashlib
import multiprocessing
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_recipes.corpus import SPLITS, Corpus, Recording, RecordingOptions, prepare
from tts.audio import resample
from tts.core.errors import InputError
from tts.core.extras import install_command
from tts.text.languages import LANGUAGES, in_script
from tts.text.normalize import check_vocabulary

TITLE = "Words said by eSpeak NG"
SOURCE = "eSpeak NG 1.52 (GPL-3.0-or-later, https://github.com/espeak-ng/espeak-ng) from the wheel espeakng-loader"
LICENSE = "other"
"""eSpeak NG's own license is that of the program; its authors say nothing about what it says."""
DIGITS = tuple("0123456789")
ACCENTS = {
    "en": ("en-us", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-gb-scotland", "en-029"),
    "es": ("es", "es-419"),
    "fr": ("fr", "fr-be", "fr-ch"),
    "it": ("it",),
    "ru": ("ru",),
    "de": ("de",),
}
VARIANTS = ("m1", "m3", "m7", "f1", "f2", "f5")
"""Of eSpeak's own, three of each sex, that are neither robots nor whispers."""
PITCH = (30, 70)
PITCH_SPREAD = 4
WORDS_PER_MINUTE = (110, 220)
INTONATION = (30, 70)
VOICE = re.compile(r"([a-z0-9-]+)\+(\w+)@(\d{1,3})")
TEST_TAKES, VALIDATION_TAKES = range(2), range(2, 3)
TAKES = 20
LEAST_TAKES = VALIDATION_TAKES.stop + 1
MAX_VOICES = 10_000
AGAIN = "install it again: pip install espeakng-loader"

# Out of espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS, PHONEME_EVENTS, DONT_EXIT = 2, 1, 0x8000
POS_CHARACTER, CHARS_UTF8 = 1, 1
RATE, PITCH_BASE, RANGE = 1, 3, 4
EVENT_PHONEME = 7
BUFFER_MILLISECONDS = 10_000
"""Longer than any word: eSpeak drops what fills its last buffer in part, so all has to fit into the first one."""


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("text", ctypes.c_char_p), ("phoneme", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Said:
    """How one word is said: by a voice `accent+variant@pitch`, at this pitch and intonation of 0 to 100."""

    word: str
    voice: str
    take: int
    words_per_minute: int
    pitch: int
    intonation: int
    noise_seed: int


def split_of_take(take: int) -> str:
    """The split that a take belongs to."""
    if take in TEST_TAKES:
        return "test"
    return "validation" if take in VALIDATION_TAKES else "train"


def voice_names(count: int, language: str = "en") -> list[str]:
    """The first voices of the list of a language, none twice; those of a shorter list come first in a longer one."""
    return list(islice(_voice_names(language), count))


def _voice_names(language: str) -> Iterator[str]:
    rng = np.random.default_rng(list(language.encode()))
    used = set()
    accents = ACCENTS[language]
    while True:  # every accent and variant once, with drawn pitches, then again
        for number in rng.permutation(len(accents) * len(VARIANTS)).tolist():
            accent, variant = accents[number // len(VARIANTS)], VARIANTS[number % len(VARIANTS)]
            pitch = int(rng.integers(PITCH[0], PITCH[1] + 1))
            # Once all pitches are used, eSpeak has no further voice: names go on with an unused pitch nearby.
            free = [p for p in range(101) if f"{accent}+{variant}@{p}" not in used]
            if free:
                name = f"{accent}+{variant}@{min(free, key=lambda p: abs(p - pitch))}"
                used.add(name)
                yield name
        if len(used) == 101 * len(accents) * len(VARIANTS):
            return


def drawn(word: str, voice: str, take: int) -> Said:
    """How a take is said: drawn from the three, and nothing else."""
    seed = int.from_bytes(hashlib.sha256(f"{voice} {take} {word}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    rate, intonation = (int(rng.integers(low, high + 1)) for low, high in (WORDS_PER_MINUTE, INTONATION))
    pitch = int(voice.rpartition("@")[2]) + int(rng.integers(-PITCH_SPREAD, PITCH_SPREAD + 1))
    return Said(word, voice, take, rate, min(max(pitch, 0), 100), intonation, int(rng.integers(2**31)))


def say(said: Said) -> tuple[np.ndarray, int]:
    """A word, from its first phoneme to its last: (T,) float32 in [-1, 1], and its sample rate in Hz.

    Raises: InputError without the wheel, or where eSpeak refuses the voice or says nothing.
    """
    pieces: list[np.ndarray] = []
    phonemes: list[tuple[int, bytes]] = []

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while events and events[place].type:
            if events[place].type == EVENT_PHONEME:
                phonemes.append((events[place].sample, events[place].id.phoneme))
            place += 1
        return 0

    with _library() as (library, sample_rate):
        callback = _Callback(take)
        library.espeak_SetSynthCallback(callback)
        # An unknown voice leaves the one before, and only the code tells.
        name = said.voice.rpartition("@")[0]
        _check(library.espeak_SetVoiceByName(name.encode()), f"voice {name}")
        settings = ((RATE, said.words_per_minute), (PITCH_BASE, said.pitch), (RANGE, said.intonation))
        for parameter, value in settings:
            _check(library.espeak_SetParameter(parameter, value, 0), "parameters")
        # Noise comes of its own generator, which it seeds with the time, and of C's.
        library.espeak_ng_SetRandSeed(ctypes.c_long(said.noise_seed))
        ctypes.CDLL(None).srand(said.noise_seed)
        text = said.word.encode()
        code = library.espeak_Synth(text, len(text) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        _check(code, f"text {said.word}")
        _check(library.espeak_Synchronize(), "end")
    wave = np.concatenate(pieces).astype(np.float32) / 32768 if pieces else np.zeros(0, np.float32)
    begins = [sample for sample, phoneme in phonemes if not phoneme.startswith(b"_")]
    # What follows the last phoneme is a pause, an event whose name begins with "_".
    ends = [sample for sample, phoneme in phonemes if phoneme.startswith(b"_") and begins and sample > begins[-1]]
    wave = wave[begins[0] if begins else 0 : ends[0] if ends else len(wave)]
    if not begins or not np.abs(wave).max(initial=0) > 0:
        raise InputError(f"eSpeak NG says nothing for the word {said.word!r}; leave it out of the words")
    return wave, sample_rate


@contextlib.contextmanager
def _library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, as if nothing had been said yet, and its sample rate."""
    path, data = _wheel()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise InputError(f"eSpeak NG does not load ({error}); {AGAIN}") from None
    try:
        library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        # Else it ends the whole process where its data are missing.
        options = PHONEME_EVENTS | DONT_EXIT
        rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MILLISECONDS, data.encode(), options)
        if rate <= 0:
            raise InputError(f"eSpeak NG does not start from {data}; {AGAIN}")
        yield library, rate
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)


def _wheel() -> tuple[str, str]:
    try:
        import espeakng_loader
    except ImportError:
        message = f"eSpeak NG is not installed; it comes, under the GPL, with: {install_command('espeak')}"
        raise InputError(message) from None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _check(code: int, what: str) -> None:
    if code != 0:
        raise InputError(f"eSpeak NG refuses the {what} (code {code}); choose another, or {AGAIN}")


def load_corpus(
    options: RecordingOptions | None = None,
    speakers: Sequence[str] | None = None,
    progress: bool = False,
    words: Sequence[str] = DIGITS,
    language: str = "en",
    voices: int = 10,
    takes: int = TAKES,
    num_proc: int = 1,
) -> Corpus:
    """Have words said; "4" is said as "four". Recordings are ordered by voice, word and take.

    Args: speakers, names of voices; None takes the first `voices` of the list of a language, a key of `ACCENTS`; takes,
        how often each says a word; num_proc, of which the recordings do not depend.

    Raises: InputError for a voice or language that eSpeak has not, a word in another script, numbers out of range, a
        missing wheel.
    """
    options = replace(options or RecordingOptions(), trim=False)  # what eSpeak says is cut exactly already
    if language not in ACCENTS:
        raise InputError(f"language {language!r} has no voices here; choose among {', '.join(ACCENTS)}")
    most = min(MAX_VOICES, 101 * len(ACCENTS[language]) * len(VARIANTS))
    if not 1 <= voices <= most:
        raise InputError(f"voices is {voices}; it must be from 1 to {most}")
    if not LEAST_TAKES <= takes <= 1000:
        raise InputError(f"takes is {takes}; it must be from {LEAST_TAKES} to 1000, so that each split has one")
    words = tuple(dict.fromkeys(words))
    check_vocabulary(words)
    if not words:
        raise InputError("no word is to be said; name at least one")
    names = list(dict.fromkeys(speakers)) if speakers else voice_names(voices, language)
    for name in names:
        _check_voice(name)
        _check_script(words, name)
    make = partial(_recordings, words=words, takes=takes, options=options)
    recordings: list[Recording] = []
    with tqdm(total=len(names), desc="espeak", unit="voice", disable=not progress) as bar:
        for some in _mapped(make, names, num_proc):
            recordings += some
            bar.update()
    splits: dict[str, list[Recording]] = {name: [] for name in SPLITS}
    for recording in recordings:
        splits[split_of_take(recording.take)].append(recording)
    notes = [f"{len(names)} voices, {takes} takes of each word, rendered by eSpeak NG"]
    spoken = tuple(sorted({name[:2] for name in names}))
    return Corpus(splits, notes, options, "espeak", TITLE, SOURCE, LICENSE, spoken)


def _check_voice(name: str) -> None:
    match = VOICE.fullmatch(name)
    data = Path(_wheel()[1])
    known = match and (data / "voices" / "!v" / match[2]).is_file()  # eSpeak passes over an unknown variant in silence
    if not known or int(match[3] if match else 101) > 100:
        raise InputError(
            f"{name!r} is no voice of eSpeak's; write accent+variant@pitch, such as {voice_names(1)[0]}, with a pitch "
            "of 0 to 100"
        )


def _check_script(words: Sequence[str], voice: str) -> None:
    """eSpeak names the letters of another script ("Cyrillic letter es") instead of saying the word."""
    language = LANGUAGES.get(re.split("[-+]", voice)[0])
    for word in words:
        if language and not in_script(word, language):
            raise InputError(
                f"{word!r} is in another script than {language.name}, the language of {voice}; choose a language with "
                "--language"
            )


def _recordings(voice: str, words: Sequence[str], takes: int, options: RecordingOptions) -> list[Recording]:
    """All that one voice says."""
    made = []
    for word in words:
        for take in range(takes):
            wave, rate = say(drawn(word, voice, take))
            audio = prepare(resample(wave, rate, options.sample_rate), options)
            if audio is None:
                raise InputError(f"eSpeak NG says nothing for the word {word!r}; leave it out of the words")
            name = f"{word}_{voice}_{take}"
            made.append(Recording(audio, word, voice, take, options.sample_rate, name))
    return made


def _mapped(make: partial[list[Recording]], voices: Sequence[str], num_proc: int) -> Iterator[list[Recording]]:
    if num_proc <= 1:
        yield from map(make, voices)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(num_proc, context) as pool:
        try:
            yield from pool.map(make, voices)
        except BrokenProcessPool:
            raise InputError(
                "a process that rendered voices ended early; run again, with a smaller --num-proc"
            ) from None
