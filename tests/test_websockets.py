"""WebSockets on the service's own protocol of HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
import uvicorn
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from students_api.http.protocol import HttpProtocol
from students_api.main import create_app
from students_api.mongodb.driver import Database
from students_api.settings import Settings

LIMIT = 1000


async def echo(websocket: WebSocket) -> None:
    """Send each text back."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


async def refuse(websocket: WebSocket) -> None:
    """Refuse the handshake."""
    await websocket.close()


@pytest.fixture
async def address(mock_database: Database) -> AsyncIterator[str]:
    """The host and port of the service with routes of WebSockets."""
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(mock_database))
    inner = APIRouter(prefix="/rooms")
    inner.add_api_websocket_route("/{name}", echo)
    app.include_router(inner)
    app.add_api_websocket_route("/echo", echo)
    app.add_api_websocket_route("/refuse", refuse)
    config = uvicorn.Config(app, log_config=None, ws="none", ws_max_size=LIMIT, access_log=False)
    config.load()
    async with app.router.lifespan_context(app) as state:
        server_state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: HttpProtocol(config, server_state, dict(state or {})), "127.0.0.1", 0
        )
        async with server:
            host, port = server.sockets[0].getsockname()
            yield f"{host}:{port}"
            await asyncio.gather(*server_state.tasks)


@pytest.mark.parametrize("path", ["/echo", "/echo?token=secret", "/rooms/a%20b", "/rooms/a?b=c"])
async def test_a_route_of_a_websocket_answers_its_messages(
    address: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with connect(f"ws://{address}{path}") as websocket:
        for text in ("a", "ü" * 400):
            await websocket.send(text)
            assert await websocket.recv() == text
    assert "secret" not in caplog.text
    assert "127.0.0.1" not in caplog.text


async def test_a_message_that_is_too_large_closes_the_websocket(address: str) -> None:
    async with connect(f"ws://{address}/echo") as websocket:
        await websocket.send("a" * (LIMIT + 1))
        with pytest.raises(ConnectionClosedError) as closed:
            await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009  # RFC 6455, section 7.4.1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/livez", 200), ("/docs-assets/a", 404), ("/refuse", 403), ("/echo/b", 404)],
)
async def test_where_there_is_no_websocket_the_answer_is_that_of_http(address: str, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{address}{path}")
    assert refused.value.response.status_code == status


async def test_what_comes_behind_the_handshake_in_one_piece_is_read(address: str) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    masked = b"\x81\x81\0\0\0\0a"  # a text of one letter, RFC 6455, section 5.7
    writer.write(head.encode() + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + masked)
    answered = await reader.readuntil(b"\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(3) == b"\x81\x01a"
    writer.close()
    await writer.wait_closed()
