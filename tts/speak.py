"""`tts speak`: texts to files, to standard output, to the loudspeaker."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tts.errors import InputError

if TYPE_CHECKING:
    from tts.voice import Audio, Voice

# Programs that play a WAV file, the first that is installed is used.
PLAYERS = (
    ("aplay", "-q"),
    ("paplay",),
    ("pw-play",),
    ("afplay",),
    ("play", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
NAMED_DIGITS = 20  # of a text, in the name of the file that it goes to by default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts speak`."""
    parser.add_argument("text", metavar="TEXT", help='digits, e.g. "4 7 2" or "four seven two"; - reads lines')
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="WAV or FLAC file, or - for WAV on standard output; default: the digits, e.g. 472.wav. With TEXT -, the "
        "number of the line goes before the suffix: out.wav becomes out-1.wav, out-2.wav, …",
    )
    parser.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    parser.add_argument("--speaker", metavar="NAME", help="default: the voice's first")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same samples (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="lower is duller; default: the voice's own")
    parser.add_argument("--engine", choices=("auto", "cpu", "reference"), default="auto", help="default: %(default)s")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="cut here; default: generous, by the text")
    parser.add_argument("--play", action="store_true", help="play it; without -o nothing is written")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Say the text or the lines; one line on stderr for each. Raises InputError for what the user can mend."""
    from tts.text import words
    from tts.voice import load_voice

    many = arguments.text == "-"
    if many and not (arguments.out or arguments.play):
        raise InputError("lines from standard input need a place to go; give -o FILE, -o - or --play")
    if arguments.out == "-" and sys.stdout.isatty():
        raise InputError("-o - would write audio to the terminal; send it to a program or a file, or give -o FILE")
    if not many:
        words(arguments.text)  # a text that cannot be said is told before a voice is loaded
    player = _player() if arguments.play else None
    voice = load_voice(arguments.voice)
    joined = []
    said = 0
    for number, text in _lines() if many else [(0, arguments.text)]:
        try:
            path = _path(arguments.out, text, number, bool(player), arguments.force)
            audio, seconds = _speak(voice, text, arguments)
        except InputError as error:
            raise InputError(f"line {number}: {error}") if many else error from error
        said += 1
        if arguments.out == "-":
            joined.append(audio)
        elif path:
            audio.save(path, arguments.force)
        where = "standard output" if arguments.out == "-" else str(path) if path else "played"
        print(f"{where}: {describe(audio, seconds)}", file=sys.stderr)
        if player:
            _play(audio, player)
    if not said:
        raise InputError("standard input holds no text; write one text a line, e.g. 4 7 2")
    if joined:
        _write_to_stdout(joined)
    return 0


def describe(audio: "Audio", seconds: float) -> str:
    """What was said, in one line: duration, speed, speaker, seed, why it stopped."""
    stopped = "stopped by itself" if audio.stop_reason == "stop" else f"CUT at {audio.seconds:.2f} s, before its end"
    forced = f", {audio.forced_advances} of {len(audio.words)} words cut as too long" if audio.forced_advances else ""
    speed = f"{audio.seconds:.2f} s in {seconds:.2f} s ({audio.seconds / seconds:.1f} x real time)"
    return f"{speed}, speaker {audio.speaker}, seed {audio.seed}, {stopped}{forced}"


def _lines() -> Iterator[tuple[int, str]]:
    """Numbered lines of standard input, from 1; blank ones are passed over."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        text = line.decode("utf-8", errors="surrogateescape").rstrip("\r\n")
        if text.strip():
            yield number, text


def _path(out: str | None, text: str, number: int, played: bool, force: bool) -> Path | None:
    """Where a text goes; checked before it is said."""
    from tts.audio import check_output
    from tts.text import digits, words

    if out == "-" or (out is None and played):
        return None
    if out is None:
        path = Path("".join(map(str, digits(words(text))))[:NAMED_DIGITS] + ".wav")
    else:
        path = Path(out)
        if number:
            path = path.with_name(f"{path.stem}-{number}{path.suffix}")
    check_output(path, force)
    return path


def _speak(voice: "Voice", text: str, arguments: argparse.Namespace) -> "tuple[Audio, float]":
    voice.check(text, arguments.speaker)
    voice.prepare(arguments.engine)  # so that the speed that is told is the voice's, not the compiler's
    began = time.perf_counter()
    audio = voice.speak(
        text,
        speaker=arguments.speaker,
        seed=arguments.seed,
        temperature=arguments.temperature,
        max_seconds=arguments.max_seconds,
        engine=arguments.engine,
    )
    return audio, time.perf_counter() - began


def _write_to_stdout(audios: "list[Audio]") -> None:
    import numpy as np

    from tts.audio import to_bytes

    samples = np.concatenate([audio.samples for audio in audios])
    sys.stdout.buffer.write(to_bytes(samples, audios[0].sample_rate))
    sys.stdout.buffer.flush()


def _player() -> list[str]:
    for program, *flags in PLAYERS:
        if path := shutil.which(program):
            return [path, *flags]
    names = ", ".join(program for program, *_ in PLAYERS)
    raise InputError(f"--play finds no program that plays sound; install one of {names}, or give -o FILE")


def _play(audio: "Audio", player: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        audio.save(path)
        done = subprocess.run([*player, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(
            f"{Path(player[0]).name} cannot play ({said[-1] if said else 'no reason given'}); give -o FILE"
        )
