"""What every command of the project shares: its errors as one line, and standard streams that are full or closed."""

import argparse
import codecs
import contextlib
import errno
import fcntl
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tts.core.errors import InputError
from tts.core.files import failure
from tts.core.messages import one_line

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_NAMES = "twotier-tts-names"


class Parser(argparse.ArgumentParser):
    """A parser whose error message is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Raises InputError, which `run_command` prints."""
        raise InputError(f"{message}; see `{self.prog} --help`")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As argparse's, but arguments of any number may stand on both sides of a flag: `a=1 --resume b=2`."""
        found, rest = super().parse_known_args(args, namespace)
        several = next((action for action in self._get_positional_actions() if action.nargs in ("*", "+")), None)
        if several is not None and isinstance(taken := getattr(found, several.dest, None), list):
            taken += [self._get_value(several, one) for one in rest if not one.startswith("-")]
            rest = [one for one in rest if one.startswith("-")]
        return found, rest

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help or the version; argparse's own ignores a stream that cannot be written."""
        (file or sys.stdout).write(message)


def run_command(program: str, run: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """Run a command, and turn every error that is the user's or the machine's into one line on standard error.

    The line begins with `program`; `run` is the command, parsing included, and returns its exit code, None for 0.

    Returns:
        The exit code: that of `run`; 2 for an `InputError` or an `OSError`, one of standard output included; 130, with
        the message `interrupted`, where the user stopped it; 141, without a line, where the output's reader has left.
    """
    try:
        _set_up_streams()
        try:
            code = run() or 0
        except SystemExit:  # what --help and --version end with
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # a full disk is noticed here, and not by the interpreter on exit
        return code
    except InputError as error:
        return _end(2, f"{program}: error: {error}")
    except KeyboardInterrupt:
        return _end(130, f"{program}: {interrupted}")
    except BrokenPipeError:
        return _end(141)
    except OSError as error:
        return _end(2, f"{program}: error: {failure(error)}")


def script(program: str, run: Callable[[Sequence[str] | None], int | None]) -> Callable[..., int]:
    """The `main` of a script, by `run_command`: `run` gets its arguments, None for those of the process."""

    def main(argv: Sequence[str] | None = None) -> int:
        return run_command(program, lambda: run(argv))

    return main


@contextlib.contextmanager
def made_to_stay() -> Iterator[None]:
    """A context in which Python looks for no garbage, and after which it never looks at what is there by then.

    For what stays until the command ends, as modules and a voice do. To search that for cycles again and again while it
    is made, and once more at the end, took a tenth of the time of `tts speak`.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def output_is_closed() -> bool:
    """Whether standard output takes nothing, e.g. after `>&-`."""
    try:
        return fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    except OSError:  # one in memory has no descriptor
        return False


def _end(code: int, message: str = "") -> int:
    """Write the message after what was printed before it, as far as either can still be written."""
    for stream, text in ((sys.stdout, ""), (sys.stderr, message and f"{one_line(message)}\n")):
        try:
            stream.write(text)
            stream.flush()
        except OSError:  # what is left in the buffer is discarded: the interpreter would fail when it flushes it
            with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())  # one in memory has none
    return code


class _Output(io.FileIO):
    """The descriptor of standard output; its errors name it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OSError(error.errno, reason, "standard output") from None


def _set_up_streams() -> None:
    """Give closed streams a stand-in, and have standard output take every file name.

    A descriptor that is closed would be that of the next file that is opened, and `print(file=None)` goes to standard
    output: messages about the samples would lie among the samples.
    """
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest one that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None or (sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper)):
        old = sys.stdout
        if old:
            old.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output(old.fileno() if old else 1, "w", closefd=False)),
            encoding=old.encoding if old else None,
            line_buffering=bool(old and old.line_buffering),
            write_through=bool(old and old.write_through),
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(_NAMES, _name_bytes)
        sys.stdout.reconfigure(errors=_NAMES)


def _name_bytes(error: UnicodeError) -> tuple[str | bytes, int]:
    """What standard output's encoding lacks as the bytes that a file name has on disk, so that scripts find the file
    again; as an escape where there are none."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    try:
        return os.fsencode(error.object[error.start : error.end]), error.end
    except UnicodeEncodeError:
        return codecs.backslashreplace_errors(error)
