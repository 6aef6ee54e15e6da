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

LINGER_SECONDS = 1
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
        send = _with_headers(send)
        headers = dict(scope["headers"])
        if self._key and scope["path"].startswith(GUARDED) and not self._is_key(headers.get(b"authorization", b"")):
            answer = error_answer(
                401,
                "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await answer(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._max_bytes:
            await _refuse(too_large(self._max_bytes), receive, send)
            return
        await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The route, within its time; the answer is ours where the body was refused."""
        body = _Body(receive, self._max_bytes, self._max_body_seconds)
        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if not body.refusal:  # else what the route makes of the refusal, which is an error to it
                begun = True
                await send(message)

        try:
            async with asyncio.timeout(self._max_request_seconds):
                await self.app(scope, body.receive, guarded_send)
        except _Refused:
            pass
        except TimeoutError:
            if begun:
                raise  # the connection is closed before the end: the client sees that the answer is not whole
            answer = error_answer(503, f"no answer within {self._max_request_seconds:g} s; send a shorter text")
            await answer(scope, receive, send)
        if body.refusal and not begun:
            await _refuse(body.refusal, receive, send)

    def _is_key(self, authorization: bytes) -> bool:
        assert self._key is not None
        return hmac.compare_digest(authorization, b"Bearer " + self._key)


async def _refuse(answer: JSONResponse, receive: Receive, send: Send) -> None:
    """Answer before the body has arrived, and drop some of what is still on its way: where a connection is closed with
    unread data, the client may lose the answer."""
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})


def _with_headers(send: Send) -> Send:
    """`send`, with headers that keep a page from loading or sending anything elsewhere."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return sending


class _Body:
    """The body of a request: its bytes are counted, and the time until its end."""

    def __init__(self, receive: Receive, max_bytes: int, max_seconds: float) -> None:
        self.refusal: JSONResponse | None = None
        self._receive, self._max_bytes, self._max_seconds = receive, max_bytes, max_seconds
        self._deadline = asyncio.get_running_loop().time() + max_seconds
        self._count, self._whole = 0, False

    async def receive(self) -> Message:
        """ASGI's `receive`. Raises _Refused, and sets `refusal`."""
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            too_slow = f"the request took more than {self._max_seconds:g} s to arrive; send it faster"
            self.refusal = error_answer(408, too_slow, headers={"Connection": "close"})
            raise _Refused from None
        self._count += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._count > self._max_bytes:
            self.refusal = too_large(self._max_bytes)
            raise _Refused
        return message


def too_large(max_bytes: int) -> JSONResponse:
    """Where a body has too many bytes."""
    message = f"the body is larger than {max_bytes} bytes; send a shorter recording or text"
    return error_answer(413, message, headers={"Connection": "close"})
