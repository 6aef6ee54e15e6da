"""Heads of requests that do not come, and answers that are not read."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
import uvicorn
from helpers.serving import wait_until
from uvicorn.server import ServerState

from tts.serving import heads, wyoming

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


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux bounds writes")
@pytest.mark.parametrize("protocol", ["http", "wyoming"])
def test_a_client_that_reads_nothing_is_left(served, monkeypatch, protocol):
    def bounded(transport):  # and with a small buffer, which is soon full
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        bound_writes(transport)

    bound_writes = heads.bound_writes
    monkeypatch.setattr(heads, "WRITE_SECONDS", 0.3)
    for module in (heads, wyoming):
        monkeypatch.setattr(module, "bound_writes", bounded)
    text = "1 2 3 4 5 6 7 8 9 0"
    body = json.dumps({"model": "digits", "input": text, "response_format": "pcm"}).encode()
    request = b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    if protocol == "wyoming":
        request = json.dumps({"type": "synthesize", "data": {"text": text}}).encode() + b"\n"
    port = served.port if protocol == "http" else served.wyoming_port
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request)
        own = connection.getsockname()[1]
        wait_until(lambda: is_open(own, port))
        wait_until(lambda: not is_open(own, port))


def is_open(client, server):
    """Whether the system has the server's side of a connection; by ports."""
    ends = [line.split()[1:3] for line in Path("/proc/net/tcp").read_text().splitlines()]
    return [f"0100007F:{port:04X}" for port in (server, client)] in ends
