"""`tts speak`: texts to files, to standard output, to the loudspeaker."""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from tts.core.console import output_is_closed
from tts.core.errors import InputError
from tts.core.files import path_text

if TYPE_CHECKING:
    import numpy as np

    from tts.cli.lines import Lines
    from tts.voice import Audio, AudioStream, Voice

    Sink = Callable[[np.ndarray], None]

NAMED_DIGITS = 20  # of a text, in the name of the file that it goes to by default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts speak`."""
    parser.add_argument(
        "text", metavar="TEXT", nargs="+", help='digits, e.g. 4 7 2 or "four seven two"; - alone reads lines'
    )
    parser.add_argument(
        "-o",
        "--out",
        type=path_text,
        metavar="FILE",
        help="WAV or FLAC file, or - for WAV on standard output while it is made; default: the digits, e.g. 472.wav. "
        "With TEXT -, the number of the line goes before the suffix: out.wav becomes out-1.wav, out-2.wav, …; "
        "standard output gets one WAV of all",
    )
    parser.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    parser.add_argument("--speaker", metavar="NAME", help="default: the voice's first")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="same seed, same samples (default: %(default)s)"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="lower is duller; default: the voice's own")
    parser.add_argument("--engine", choices=("auto", "native", "torch"), default="auto", help="default: %(default)s")
    parser.add_argument("--max-seconds", type=float, metavar="S", help="cut here; default: generous, by the text")
    parser.add_argument("--play", action="store_true", help="play it while it is made; without -o nothing is written")
    parser.add_argument("--force", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Say the text or the lines; one line on stderr for each. Raises InputError for the user's mistakes."""
    from tts.generation.native.family import unsupported, without_native
    from tts.text.normalize import words
    from tts.voice import load_voice

    arguments.text = " ".join(arguments.text)
    many = arguments.text == "-"
    if many and not (arguments.out or arguments.play):
        raise InputError("lines from standard input need a place to go; give -o FILE, -o - or --play")
    if arguments.out == "-" and output_is_closed():
        raise InputError("-o - finds standard output closed; give -o FILE")
    if arguments.out == "-" and sys.stdout.isatty():
        raise InputError("-o - would write audio to the terminal; send it to a program or a file, or give -o FILE")
    if not many:
        words(arguments.text)  # a text that cannot be said is refused before a voice is loaded
    voice = load_voice(arguments.voice)
    if arguments.engine == "auto" and (reason := unsupported(voice.config.model)):
        print(f"tts: warning: {without_native(reason)}", file=sys.stderr)
        arguments.engine = "torch"
    with ExitStack() as open_sinks:
        sinks = _open_sinks(arguments, voice.sample_rate, open_sinks)
        if many:
            _say_lines(voice, arguments, sinks)
        else:
            _say(voice, arguments, sinks)
    return 0


def _open_sinks(arguments: argparse.Namespace, sample_rate: int, stack: ExitStack) -> "list[Sink]":
    """What takes samples while they are made."""
    sinks: list[Sink] = []
    if arguments.out == "-":
        from tts.audio import wav_stream

        sinks.append(stack.enter_context(wav_stream(sys.stdout.buffer, sample_rate)))
    if arguments.play:
        from tts.audio.player import loudspeaker

        sinks.append(stack.enter_context(loudspeaker(sample_rate)))
    return sinks


def _say(voice: "Voice", arguments: argparse.Namespace, sinks: "list[Sink]") -> None:
    """One text, chunk by chunk."""
    path = _path(arguments, arguments.text, 0)
    stream = voice.stream(
        arguments.text,
        speaker=arguments.speaker,
        seed=arguments.seed,
        temperature=arguments.temperature,
        max_seconds=arguments.max_seconds,
        engine=arguments.engine,
    )
    voice.prepare(arguments.engine)  # so that the speed is the voice's, without the compiler's work
    seconds = _drain(stream, sinks)
    audio = stream.audio()
    if path:
        audio.save(path, arguments.force)
    print(f"{_where(arguments, path)}: {describe(audio, seconds)}", file=sys.stderr)


def _drain(stream: "AudioStream", sinks: "list[Sink]") -> float:
    """Hand the chunks on; the seconds that it took to make them, without those for which a sink made us wait."""
    seconds = 0.0
    while True:
        began = time.perf_counter()
        chunk = next(stream, None)
        seconds += time.perf_counter() - began
        if chunk is None:
            return seconds
        for sink in sinks:
            sink(chunk)


def _say_lines(voice: "Voice", arguments: argparse.Namespace, sinks: "list[Sink]") -> None:
    """The lines of standard input, in their order, as many at a time as are there."""
    from tts.cli.lines import Lines

    if sys.stdin is None:
        raise InputError("standard input is closed; write one text a line to it, e.g. 4 7 2")
    lines = Lines(sys.stdin.fileno())
    voice.prepare(arguments.engine, streams=2)
    count, samples, seconds = 0, 0, 0.0
    while first := lines.next(wait=True):
        paths: deque[Path | None] = deque()
        spoken = voice.speak_each(
            _texts(first, lines, voice, arguments, paths),
            speakers=repeat(arguments.speaker),
            seeds=repeat(arguments.seed),
            temperature=arguments.temperature,
            max_seconds=arguments.max_seconds,
            engine=arguments.engine,
        )
        began = time.perf_counter()
        for audio in spoken:
            seconds += time.perf_counter() - began
            count, samples = count + 1, samples + len(audio.samples)
            path = paths.popleft()
            for sink in sinks:
                sink(audio.samples)
            if path:
                audio.save(path, arguments.force)
            print(f"{_where(arguments, path)}: {audio.seconds:.2f} s, {_ending(audio)}", file=sys.stderr)
            began = time.perf_counter()
    if not count:
        raise InputError("standard input holds no text; write one text a line, e.g. 4 7 2")
    print(f"{count} texts: {_speed(samples / voice.sample_rate, seconds)}", file=sys.stderr)


def _texts(
    first: tuple[int, str], lines: "Lines", voice: "Voice", arguments: argparse.Namespace, paths: deque[Path | None]
) -> Iterator[str]:
    """Checked texts, until no further line is there: what has begun is finished before the next is awaited."""
    line: tuple[int, str] | None = first
    while line:
        number, text = line
        try:
            voice.check(text, arguments.speaker)
            paths.append(_path(arguments, text, number))
        except InputError as error:
            raise InputError(f"line {number}: {error}") from error
        yield text
        line = lines.next(wait=False)


def describe(audio: "Audio", seconds: float) -> str:
    """What was said, in one line: duration, speed, speaker, seed, why it stopped."""
    return f"{_speed(audio.seconds, seconds)}, {_ending(audio)}"


def _speed(seconds: float, took: float) -> str:
    return f"{seconds:.2f} s in {took:.2f} s ({seconds / took:.1f} x real time)"


def _ending(audio: "Audio") -> str:
    stopped = "stopped by itself" if audio.stop_reason == "stop" else f"CUT at {audio.seconds:.2f} s, before its end"
    forced = f", {audio.forced_advances} of {len(audio.words)} words cut as too long" if audio.forced_advances else ""
    return f"speaker {audio.speaker}, seed {audio.seed}, {stopped}{forced}"


def _where(arguments: argparse.Namespace, path: Path | None) -> str:
    return "standard output" if arguments.out == "-" else str(path) if path else "played"


def _path(arguments: argparse.Namespace, text: str, number: int) -> Path | None:
    """Where a text goes; checked before it is said."""
    from tts.audio import check_output
    from tts.text.normalize import digits, words

    out: str | None = arguments.out
    if out == "-" or (out is None and arguments.play):
        return None
    if out is None:
        path = Path("".join(map(str, digits(words(text))))[:NAMED_DIGITS] + ".wav")
    else:
        path = Path(out)
        if number:
            path = path.with_name(f"{path.stem}-{number}{path.suffix}")
    check_output(path, arguments.force)
    return path
