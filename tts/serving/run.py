"""The process: loads the voice and the recognizer, opens the addresses, and ends when a signal says so."""

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from typing import Any

import uvicorn

from tts.core.errors import InputError
from tts.recognition.onnx_recognizer import OnnxRecognizer
from tts.serving.heads import HttpProtocol
from tts.serving.http import make_app
from tts.serving.service import Service
from tts.serving.settings import KEY_VARIABLE, ServerSettings, address, is_loopback
from tts.serving.wyoming import WyomingServer
from tts.voice import load_voice

DRAIN_SECONDS = 60
"""How long what runs may take to end after a signal; a second signal ends it at once."""


class _Server(uvicorn.Server):
    """Leaves signals to `_serve`."""

    def capture_signals(self) -> Any:
        """Captures none."""
        return nullcontext()


def serve(settings: ServerSettings, log_level: str = "info") -> None:
    """Serve until SIGINT or SIGTERM; then finish what runs.

    Raises: InputError for a voice that cannot be loaded, or an address that cannot be opened.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    for line in warnings(settings, key):
        _say(f"warning: {line}")
    voice, recognizer = load_voice(settings.voice), OnnxRecognizer.load()
    asyncio.run(_serve(settings, key, log_level, voice, recognizer))


def warnings(settings: ServerSettings, key: str | None) -> list[str]:
    """What somebody who opens the server to others should know."""
    found = []
    if not is_loopback(settings.host) and not key:
        found.append(
            f"{settings.host} can be reached from other machines, and no key is asked for; set {KEY_VARIABLE}, or "
            "leave --host at 127.0.0.1"
        )
    if settings.wyoming and not is_loopback(host := address(settings.wyoming)[0]):
        found.append(f"{host} can be reached from other machines, and the Wyoming protocol has no key")
    return found


async def _serve(settings: ServerSettings, key: str | None, log_level: str, voice: Any, recognizer: Any) -> None:
    service = Service(settings, voice, recognizer)
    config = uvicorn.Config(
        make_app(service, key),
        http=HttpProtocol,
        log_level=log_level,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ws="none",
        lifespan="off",  # there is none, and its task would log a traceback where the server ends at once
    )
    server = _Server(config)
    wyoming = WyomingServer(service, settings.wyoming) if settings.wyoming else None
    socket = _bound(config, settings)
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True
        if wyoming:  # both end within the same time
            closing.append(loop.create_task(wyoming.close(0 if server.force_exit else DRAIN_SECONDS)))

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, end)
    _say(f"http://{_shown(settings.host)}:{socket.getsockname()[1]} with the voice {voice.name}")
    if wyoming:
        _say(f"tcp://{_shown(wyoming.host)}:{await wyoming.start()} for Home Assistant")
    await server.serve(sockets=[socket])
    left = list(server.server_state.tasks)  # after a second signal: what still runs is not waited for
    for task in left:
        task.cancel()
    await asyncio.gather(*closing, *left)
    await asyncio.to_thread(service.pool.close)


def _bound(config: uvicorn.Config, settings: ServerSettings) -> Any:
    """A listening socket. Raises InputError."""
    import socket

    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=config.backlog)
    except OSError as error:
        raise InputError(
            f"cannot serve on {settings.host} port {settings.port}: {error.strerror or error}; choose others by "
            "--host and --port"
        ) from error


def _say(line: str) -> None:
    print(f"tts: {line}", file=sys.stderr, flush=True)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
