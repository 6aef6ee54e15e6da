"""`tts serve`: OpenAI's speech API over HTTP, a page, and Home Assistant's Wyoming protocol."""

import argparse
from typing import Any

from tts.serving.settings import ServerSettings

FLAGS = {
    "host": ("HOST", "default: %(default)s, which only this machine reaches"),
    "port": ("PORT", "0 chooses a free one; default: %(default)s"),
    "voice": ("VOICE", "a name (see `tts voices`), a folder or a Hugging Face Hub id"),
    "wyoming": ("URI", "speak Home Assistant's protocol too, e.g. tcp://127.0.0.1:10200"),
    "threads": ("N", "that make speech; default: one for each core"),
    "streams": ("N", "texts a thread makes at a time (%(default)s)"),
    "queue": ("N", "texts that wait at most (%(default)s)"),
    "max_audio_seconds": ("S", "of one text (%(default)s)"),
    "max_request_seconds": ("S", "an answer may take (%(default)s)"),
    "max_upload_seconds": ("S", "of a recording (%(default)s)"),
}
"""Of `ServerSettings`, which has their types and defaults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts serve`."""
    for name, (metavar, text) in FLAGS.items():
        default: Any = getattr(ServerSettings, name)
        kind = str if default is None else type(default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument("--max-upload-mb", type=float, default=10.0, metavar="MB", help="of a request (%(default)s)")
    origins = "whose pages may call it from a browser; repeatable"
    parser.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help=origins)
    parser.add_argument("--log-level", choices=("critical", "error", "warning", "info", "debug"), default="warning")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal. Raises InputError for a setting out of range, a voice or an address that is not there."""
    settings = ServerSettings(
        **{name: getattr(arguments, name) for name in FLAGS},
        max_upload_bytes=round(arguments.max_upload_mb * (1 << 20)),
        cors=tuple(arguments.cors),
    )
    from tts.serving.run import serve  # the servers take a while: not before the flags are checked

    serve(settings, arguments.log_level)
    return 0
