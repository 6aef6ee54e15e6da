"""What `tts serve` takes: addresses, places, limits."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from tts.core.config import Range, check
from tts.core.errors import InputError

KEY_VARIABLE = "TTS_API_KEY"
"""The environment variable with the key that clients must send; unset or empty: none is asked for."""


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the servers. Raises InputError for one out of range."""

    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 8000
    voice: str | None = None
    wyoming: str | None = None
    """tcp://HOST:PORT, where the Wyoming protocol is spoken as well."""
    threads: Annotated[int, Range(0, 1024)] = 0
    """That make speech; 0: as many as there are cores for this process."""
    streams: Annotated[int, Range(1, 256)] = 16
    """Texts that a thread makes at a time."""
    queue: Annotated[int, Range(0, 100_000)] = 64
    """Texts that wait for a place; more are refused (429)."""
    max_audio_seconds: Annotated[float, Range(1, 3600)] = 600.0
    """Where an utterance is cut, written pauses not counted."""
    max_request_seconds: Annotated[float, Range(1, 86_400)] = 300.0
    """What is not answered by then is stopped."""
    max_body_seconds: Annotated[float, Range(1, 3600)] = 30.0
    """A request that is not here by then is refused (408)."""
    max_upload_bytes: Annotated[int, Range(1024, 1 << 30)] = 10 << 20
    """Of the body of a request; more is refused (413) before it is read."""
    max_upload_seconds: Annotated[float, Range(1, 3600)] = 120.0
    """Of the audio in an upload."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the server from a browser; none by default."""

    def __post_init__(self) -> None:
        check(self)
        if not self.host:
            raise InputError("host is empty; give an address, e.g. 127.0.0.1")
        if self.wyoming:
            address(self.wyoming)
        for origin in self.cors:  # as browsers send it, or it would never match
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
                raise InputError(f"--cors is {origin!r}; write an origin as https://example.org, without a path, or *")


def address(uri: str) -> tuple[str, int]:
    """Host and port of tcp://HOST:PORT. Raises InputError."""
    try:
        parts = urlsplit(uri)
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None and not parts.path:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise InputError(f"--wyoming is {uri!r}; write tcp://HOST:PORT, e.g. tcp://127.0.0.1:10200")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
