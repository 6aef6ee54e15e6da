"""Heads of requests that do not come."""

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from tts.serving import heads

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope, receive, send):
    """Answers later than a head may come."""
    await asyncio.sleep(0.4)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("requests", [0, 1, 2])
@pytest.mark.parametrize("rest", [b"", b"GET / HT", GET[:-2]])
def test_a_connection_that_sends_no_head_is_closed(monkeypatch, requests, rest):
    monkeypatch.setattr(heads, "HEAD_SECONDS", 0.2)

    async def run():
        config = uvicorn.Config(app, ws="none", timeout_keep_alive=60 if rest else 0.2)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: heads.HttpProtocol(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(20):
            writer.write(GET * requests)
            for _ in range(requests):
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
            writer.write(rest)
            assert await reader.read() == b""
        writer.close()
        server.close()

    asyncio.run(run())
