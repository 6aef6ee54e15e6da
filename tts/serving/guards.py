"""Checks before a route: the key, the size and the pace of a body, the time that an answer may take; and errors as
OpenAI's API has them."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from fastapi.responses import JSONResponse

from tts.core.messages import one_line
from tts.serving.pool import RETRY_SECONDS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINGER_SECONDS, LINGER_BYTES = 1, 64 << 20
"""After an answer that came before the body: how long, beyond the body's own time, and how much of it is dropped."""
GUARDED = ("/v1/", "/metrics", "/docs", "/openapi.json")
"""Where the key is asked for. The page is for everybody: what it asks for is not."""

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def error_answer(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error in OpenAI's form."""
    kind = "invalid_request_error" if status < 429 else "rate_limit_error" if status == 429 else "server_error"
    detail = {"message": one_line(message)[:1000], "type": kind, "param": param, "code": code}
    return JSONResponse({"error": detail}, status, headers)


def busy_answer() -> JSONResponse:
    """Where the queue is full."""
    return error_answer(
        429,
        "the server has no place for another text; try again in a moment",
        code="rate_limit_exceeded",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


class _Refused(Exception):
    """The body is too large or too slow."""


class Guard:
    """Middleware: what every request must pass."""

    def __init__(
        self, app: App, key: str | None, max_bytes: int, max_body_seconds: float, max_request_seconds: float
    ) -> None:
        self.app = app
        self._key = key.encode() if key else None
        self._max_bytes, self._max_body_seconds = max_bytes, max_body_seconds
        self._max_request_seconds = max_request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # answered as GET; the HTTP server leaves out the body
            scope = {**scope, "method": "GET"}
        headers = dict(scope["headers"])
        body = _Body(receive, headers, self._max_bytes, self._max_body_seconds)
        answer = _Answer(send, body)
        if self._key and scope["path"].startswith(GUARDED) and not self._is_key(headers.get(b"authorization", b"")):
            refusal = error_answer(
                401,
                "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, answer.send)
        elif body.length > self._max_bytes:
            await too_large(self._max_bytes)(scope, receive, answer.send)
        else:
            await self._run(scope, body, answer)
        await answer.finish()

    async def _run(self, scope: Scope, body: "_Body", answer: "_Answer") -> None:
        """The route, within its time; the answer is ours where the body was refused."""

        async def guarded_send(message: Message) -> None:
            if not body.refusal:  # else what the route makes of the refusal, which is an error to it
                await answer.send(message)

        try:
            async with asyncio.timeout(self._max_request_seconds):
                await self.app(scope, body.receive, guarded_send)
        except _Refused:
            pass
        except (TimeoutError, asyncio.CancelledError) as error:  # the latter where the server ends at once
            if answer.begun:
                return  # uvicorn logs that it is not whole, and closes the connection, by which the client sees it
            if isinstance(error, TimeoutError):
                message = f"no answer within {self._max_request_seconds:g} s; send a shorter text"
            else:
                message = "the server ends; try again later"
            await error_answer(503, message)(scope, body.receive, answer.send)
        if body.refusal and not answer.begun:
            await body.refusal(scope, body.receive, answer.send)

    def _is_key(self, authorization: bytes) -> bool:
        assert self._key is not None
        scheme, _, token = authorization.partition(b" ")
        return hmac.compare_digest(token, self._key) and scheme.lower() == b"bearer"


class _Answer:
    """What is sent: with headers that keep a page from loading or sending anything elsewhere.

    Where a connection is closed with unread data, the client may lose the answer. So one that comes before the whole
    body ends the connection, but only after some of what is still on its way has been dropped.
    """

    def __init__(self, send: Send, body: "_Body") -> None:
        self.begun = False
        self._send, self._body = send, body
        self._early = self._unfinished = False

    async def send(self, message: Message) -> None:
        """ASGI's `send`."""
        if message["type"] == "http.response.start":
            self.begun, self._early = True, not self._body.whole
            close = [(b"connection", b"close")] if self._early else []
            message["headers"] = [*message.get("headers", ()), *_HEADERS, *close]
        elif self._early and not message.get("more_body", False):
            self._unfinished = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def finish(self) -> None:
        """Drop the rest of the body, and end the answer where that has not been done."""
        if self._unfinished:
            await self._body.drop()
            await self._send({"type": "http.response.body"})


class _Body:
    """The body of a request: its bytes are counted, and the time until its end."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], max_bytes: int, max_seconds: float) -> None:
        self.refusal: JSONResponse | None = None
        length = headers.get(b"content-length", b"0")
        self.length = int(length[:20]) if length.isdigit() else 0
        """As announced; 0 where it is not."""
        self.whole = not self.length and b"transfer-encoding" not in headers
        """Whether nothing of it is still to come."""
        self._receive, self._max_bytes, self._max_seconds = receive, max_bytes, max_seconds
        self._deadline = asyncio.get_running_loop().time() + max_seconds
        self._count = 0

    async def receive(self) -> Message:
        """ASGI's `receive`. Raises _Refused, and sets `refusal`."""
        if self.whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._next()
        except TimeoutError:
            self.refusal = error_answer(
                408, f"the request took more than {self._max_seconds:g} s to arrive; send it faster"
            )
            raise _Refused from None
        if self._count > self._max_bytes:
            self.refusal = too_large(self._max_bytes)
            raise _Refused
        return message

    async def drop(self) -> None:
        """Receive what is still to come, within bounds."""
        until = max(self._deadline, asyncio.get_running_loop().time() + LINGER_SECONDS)
        most = self._count + LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not self.whole and self._count < most:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        return message


def too_large(max_bytes: int) -> JSONResponse:
    """Where a body has too many bytes."""
    message = f"the body is larger than {max_bytes} bytes; send a shorter recording or text"
    return error_answer(413, message)
