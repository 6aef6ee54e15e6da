"""`tts serve`: OpenAI's speech API over HTTP, a page, and Home Assistant's Wyoming protocol."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `tts serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, which only this machine reaches")
    parser.add_argument("--port", type=int, default=8000, help="0 chooses a free one; default: %(default)s")
    parser.add_argument("--voice", metavar="VOICE", help="a name (see `tts voices`), a folder or a Hugging Face Hub id")
    parser.add_argument(
        "--wyoming", metavar="URI", help="speak Home Assistant's protocol too, e.g. tcp://127.0.0.1:10200"
    )
    parser.add_argument(
        "--threads", type=int, default=0, metavar="N", help="that make speech; default: one for each core"
    )
    parser.add_argument(
        "--streams", type=int, default=16, metavar="N", help="texts a thread makes at a time (%(default)s)"
    )
    parser.add_argument("--queue", type=int, default=64, metavar="N", help="texts that wait at most (%(default)s)")
    parser.add_argument("--max-audio-seconds", type=float, default=600.0, metavar="S", help="of one text (%(default)s)")
    parser.add_argument(
        "--max-request-seconds", type=float, default=300.0, metavar="S", help="an answer may take (%(default)s)"
    )
    parser.add_argument("--max-upload-mb", type=float, default=10.0, metavar="MB", help="of a request (%(default)s)")
    parser.add_argument(
        "--max-upload-seconds", type=float, default=120.0, metavar="S", help="of a recording (%(default)s)"
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="whose pages may call it from a browser; repeatable",
    )
    parser.add_argument("--log-level", choices=("critical", "error", "warning", "info", "debug"), default="warning")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal. Raises InputError for a setting out of range, a voice or an address that is not there."""
    from tts.serving.settings import ServerSettings

    a = arguments
    settings = ServerSettings(
        host=a.host,
        port=a.port,
        voice=a.voice,
        wyoming=a.wyoming,
        threads=a.threads,
        streams=a.streams,
        queue=a.queue,
        max_audio_seconds=a.max_audio_seconds,
        max_request_seconds=a.max_request_seconds,
        max_upload_bytes=round(a.max_upload_mb * (1 << 20)),
        max_upload_seconds=a.max_upload_seconds,
        cors=tuple(a.cors),
    )
    from tts.serving.run import serve  # the servers take a while: not before the flags are checked

    serve(settings, a.log_level)
    return 0
