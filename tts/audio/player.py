"""Playing samples while they are made: by the package sounddevice where it is installed, else by a program."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tts.audio import wav_stream
from tts.core.errors import InputError

# Programs that play a WAV file from standard input, and their flags for it.
PROGRAMS = (
    ("aplay", "-q", "-"),
    ("play", "-q", "--ignore-length", "-t", "wav", "-"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error", "-i", "-"),
)

Write = Callable[[np.ndarray], None]


def loudspeaker(sample_rate: int) -> AbstractContextManager[Write]:
    """A context in which samples, (n,) float32 in [-1, 1], can be written to be played; its end waits for the last.

    Raises: InputError where nothing that plays is installed; in the context also where there is no device.
    """
    try:
        import sounddevice
    except (ImportError, OSError):  # OSError: the system's PortAudio library is missing
        return _program(_found(), sample_rate)
    return _device(sounddevice, sample_rate)


@contextmanager
def _device(sounddevice: Any, sample_rate: int) -> Iterator[Write]:
    try:
        stream = sounddevice.OutputStream(samplerate=sample_rate, channels=1, dtype="float32")
        stream.start()
    except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no device has that number or name
        raise InputError(f"--play finds no sound device ({_line(str(error))}); give -o FILE") from error

    def write(samples: np.ndarray) -> None:
        try:
            stream.write(samples[:, None])
        except sounddevice.PortAudioError as error:
            raise InputError(f"the sound device stopped ({_line(str(error))}); give -o FILE") from error

    try:
        yield write
        stream.stop()  # when all has been played
    finally:
        stream.close()


def _found() -> list[str]:
    for program, *flags in PROGRAMS:
        if path := shutil.which(program):
            return [path, *flags]
    wheel = 'pip install "twotier-tts[play]" (and PortAudio: libportaudio2)'
    names = ", ".join(program for program, *_ in PROGRAMS)
    raise InputError(f"--play finds nothing that plays sound; {wheel}, or install one of {names}, or give -o FILE")


@contextmanager
def _program(command: list[str], sample_rate: int) -> Iterator[Write]:
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said) as player,
    ):
        pipe = player.stdin
        assert pipe is not None

        def failure() -> InputError:
            ended_well = player.wait() == 0
            said.seek(0)
            reason = "it ended before the text did" if ended_well else _line(said.read().decode(errors="replace"))
            return InputError(f"{Path(command[0]).name} cannot play ({reason}); give -o FILE")

        try:
            with wav_stream(pipe, sample_rate) as write_wav:

                def write(samples: np.ndarray) -> None:
                    try:
                        write_wav(samples)
                    except BrokenPipeError as error:
                        with suppress(BrokenPipeError):
                            pipe.close()
                        raise failure() from error

                yield write
            pipe.close()
            if player.wait():
                raise failure()
        except BaseException:
            player.kill()
            raise


def _line(text: str) -> str:
    """The last line of what a program said."""
    return (text.strip().splitlines() or ["no reason given"])[-1]
