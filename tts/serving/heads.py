"""uvicorn's HTTP with a time for the head of a request: a connection that sends none would stay for good. So would one
that reads no answer, see `bound_writes`."""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 30
"""A connection that waits for the rest of a head for so long is closed."""

WRITE_SECONDS = 60
"""A connection whose client takes nothing of what is sent for so long is closed."""


def bound_writes(transport: asyncio.BaseTransport) -> None:
    """Have the kernel close a connection that takes nothing. Not by asyncio: closing there waits for what is unsent."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(WRITE_SECONDS * 1000))


class HttpProtocol(H11Protocol):
    """One connection. By h11, which bounds the bytes of a head; httptools does not."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio's."""
        super().connection_made(transport)
        bound_writes(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        """Have the connection closed in time, except where a request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif not self._late:
            self._late = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _forget(self) -> None:
        if self._late:
            self._late.cancel()
        self._late = None
