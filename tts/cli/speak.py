"""`tts speak`: texts to files, to standard output, to the loudspeaker."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tts.core.console import made_to_stay, output_is_closed
from tts.core.errors import InputError
from tts.core.files import path_text

if TYPE_CHECKING:
    import numpy as np

    from tts.cli.lines import Lines
    from tts.voice import Audio, SpeakOptions, Voice

    Sink = Callable[[np.ndarray], None]

T = TypeVar("T")

READ_MODES = ("digits", "cardinal", "ordinal", "time", "money", "phone", "phone-double", "auto")
"""Those of `tts.text.reading`, which is not imported to parse a command line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts speak`."""
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="+",
        help='the voice\'s words, e.g. 4 7 2 or "four seven two"; - alone reads lines',
    )
    out = (
        "WAV or FLAC file, or - for WAV on standard output while it is made; default: by the words, e.g. 472.wav. With "
        "TEXT -, the number of the line goes before the suffix: out.wav becomes out-1.wav, out-2.wav, …; standard "
        "output gets one WAV of all"
    )
    parser.add_argument("-o", "--out", type=path_text, metavar="FILE", help=out)
    parser.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    parser.add_argument("--speaker", metavar="NAME", help="default: the voice's first")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same samples (default: 0)")
    parser.add_argument("--temperature", type=float, metavar="T", help="lower is duller; default: the voice's own")
    vowels = "times --temperature in the vowels: below 1 more periodic; default: the voice's own"
    parser.add_argument("--nucleus-temperature", type=float, metavar="X", help=vowels)
    comb = "0 to 1: takes noise from between the harmonics; default: the voice's own"
    parser.add_argument("--comb-filter", type=float, metavar="X", help=comb)
    parser.add_argument("--engine", choices=("auto", "native", "torch"), default="auto", help="default: auto")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="cut here; default: generous, by the text")
    parser.add_argument(
        "--read",
        choices=READ_MODES,
        metavar="HOW",
        help=f"numbers are read as {', '.join(READ_MODES)}; default: digits in a voice of digits, else auto",
    )
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="0.25 (slow) to 4 (fast); default: 1")
    parser.add_argument("--play", action="store_true", help="play it while it is made; without -o nothing is written")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Say the text or the lines; one line on stderr for each. Raises InputError for the user's mistakes."""
    with made_to_stay():
        from tts.generation.native.family import without_native
        from tts.text.reading import read
        from tts.voice import SpeakOptions, load_voice

    arguments.text = " ".join(arguments.text)
    many = arguments.text == "-"
    if many and not (arguments.out or arguments.play):
        raise InputError("lines from standard input need a place to go; give -o FILE, -o - or --play")
    if arguments.out == "-" and output_is_closed():
        raise InputError("-o - finds standard output closed; give -o FILE")
    if arguments.out == "-" and sys.stdout.isatty():
        raise InputError("-o - would write audio to the terminal; send it to a program or a file, or give -o FILE")
    if not many and arguments.voice is None and arguments.read in (None, "digits"):
        read(arguments.text, "digits")  # of the default voice: what cannot be said is refused before a voice is loaded
    voice = load_voice(arguments.voice)
    if arguments.engine == "auto" and (warning := without_native(voice.config.model)):
        print(f"tts: warning: {warning}", file=sys.stderr)
        arguments.engine = "torch"
    options = SpeakOptions(
        arguments.temperature,
        max_seconds=arguments.max_seconds,
        engine=arguments.engine,
        read=arguments.read,
        speed=arguments.speed,
        nucleus_temperature=arguments.nucleus_temperature,
        comb_filter=arguments.comb_filter,
    )
    with ExitStack() as stack:
        sinks: list[Sink] = []  # what takes samples while they are made
        if arguments.out == "-":
            from tts.audio import wav_stream

            sinks.append(stack.enter_context(wav_stream(sys.stdout.buffer, voice.sample_rate)))
        if arguments.play:
            from tts.audio.player import loudspeaker

            sinks.append(stack.enter_context(loudspeaker(voice.sample_rate)))
        (_say_lines if many else _say)(voice, arguments, options, sinks)
    return 0


def _say(voice: "Voice", arguments: argparse.Namespace, options: "SpeakOptions", sinks: "list[Sink]") -> None:
    """One text, chunk by chunk."""
    path = _path(arguments, voice.check(arguments.text), 0)
    stream = voice.stream(arguments.text, arguments.speaker, arguments.seed, options)
    voice.prepare(options.engine)  # so that the speed is the voice's, without the compiler's work
    timer = _Timer()
    for chunk in timer.time(stream):
        for sink in sinks:
            sink(chunk)
    audio = stream.audio()
    if path:
        audio.save(path, arguments.force)
    _report(arguments, path, _speed(audio.seconds, timer.seconds), audio)


class _Timer:
    """The seconds that it took to make items, without those in which they were used."""

    seconds = 0.0

    def time(self, items: Iterable[T]) -> Iterator[T]:
        began = time.perf_counter()
        for item in items:
            self.seconds += time.perf_counter() - began
            yield item
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


def _say_lines(voice: "Voice", arguments: argparse.Namespace, options: "SpeakOptions", sinks: "list[Sink]") -> None:
    """The lines of standard input, in their order, as many at a time as are there."""
    from tts.cli.lines import Lines

    if sys.stdin is None:
        raise InputError("standard input is closed; write one text a line to it, e.g. 4 7 2")
    lines = Lines(sys.stdin.fileno())
    voice.prepare(options.engine, streams=2)
    timer, count, seconds = _Timer(), 0, 0.0
    while first := lines.next(wait=True):
        paths: deque[Path | None] = deque()
        texts = _texts(first, lines, voice, arguments, paths)
        for audio in timer.time(voice.speak_each(texts, repeat(arguments.speaker), repeat(arguments.seed), options)):
            count, seconds = count + 1, seconds + audio.seconds
            path = paths.popleft()
            for sink in sinks:
                sink(audio.samples)
            if path:
                audio.save(path, arguments.force)
            _report(arguments, path, f"{audio.seconds:.2f} s", audio)
    if not count:
        raise InputError("standard input holds no text; write one text a line, e.g. 4 7 2")
    print(f"{count} texts: {_speed(seconds, timer.seconds)}", file=sys.stderr)


def _texts(
    first: tuple[int, str], lines: "Lines", voice: "Voice", arguments: argparse.Namespace, paths: deque[Path | None]
) -> Iterator[str]:
    """Checked texts, until no further line is there: what has begun is finished before the next is awaited."""
    line: tuple[int, str] | None = first
    while line:
        number, text = line
        try:
            paths.append(_path(arguments, voice.check(text, arguments.speaker, arguments.read), number))
        except InputError as error:
            raise InputError(f"line {number}: {error}") from error
        yield text
        line = lines.next(wait=False)


def _speed(seconds: float, took: float) -> str:
    return f"{seconds:.2f} s in {took:.2f} s ({seconds / took:.1f} x real time)"


def _report(arguments: argparse.Namespace, path: Path | None, length: str, audio: "Audio") -> None:
    """What was said, in one line: where, length, speaker, seed, why it stopped."""
    where = "standard output" if arguments.out == "-" else path or "played"
    stopped = "stopped by itself" if audio.stop_reason == "stop" else f"CUT at {audio.seconds:.2f} s, before its end"
    forced = f", {audio.forced_advances} of {len(audio.words)} words cut as too long" if audio.forced_advances else ""
    print(f"{where}: {length}, speaker {audio.speaker}, seed {audio.seed}, {stopped}{forced}", file=sys.stderr)


def _path(arguments: argparse.Namespace, said: list[str], number: int) -> Path | None:
    """Where a text of these words goes; checked before it is said."""
    from tts.audio import check_output
    from tts.text.normalize import file_name

    if arguments.out == "-" or (arguments.out is None and arguments.play):
        return None
    path = Path(arguments.out or f"{file_name(said)}.wav")
    if number:
        path = path.with_name(f"{path.stem}-{number}{path.suffix}")
    check_output(path, arguments.force)
    return path
