"""Large streamed responses through the ASGI middleware: nothing is held back, and nothing is kept."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from perfguard.asgi import GuardMiddleware
from tests.asgi.messages import Message, Receive, Send, http
from tests.servers import running

GIBIBYTE = 1024**3
MEBIBYTE = 1024**2

STREAMING = """
from perfguard.asgi import GuardMiddleware

CHUNK = bytes(65536)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    chunks = scope["path"].strip("/")
    for _ in range(int(chunks) if chunks.isdigit() else 0):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body"})

app = GuardMiddleware(app)
"""


def test_each_chunk_reaches_the_server_before_the_next_is_made() -> None:
    """The middleware hands every message on at once, and as the same object."""
    order: list[tuple[str, int]] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(100):
            body = bytes([number])
            order.append(("made", id(body)))
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message.get("more_body"):
            order.append(("sent", id(message["body"])))

    asyncio.run(GuardMiddleware(app)(http(), receive, send))

    assert [step for step, _ in order] == ["made", "sent"] * 100
    assert [made for _, made in order[::2]] == [sent for _, sent in order[1::2]]


def peak_memory(process: int) -> int:
    """The most memory that a process ever held, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def download(port: int, chunks: int) -> int:
    """Read a response to its end; its length in bytes, with heads and frames."""
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(f"GET /{chunks} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n".encode())
        buffer = bytearray(MEBIBYTE)
        total = 0
        while count := client.recv_into(buffer):
            total += count
        return total


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_gibibyte_streams_without_memory_of_its_own(tmp_path: Path) -> None:
    """Under uvicorn, a response of 1 GiB raises the peak of the server's memory by less than 32 MiB."""
    (tmp_path / "streaming.py").write_text(STREAMING)
    with running(["-m", "uvicorn", "streaming:app", "--port", "{port}"], tmp_path) as server:
        download(server.port, 64)
        before = peak_memory(server.process.pid)

        assert download(server.port, GIBIBYTE // 65536) > GIBIBYTE

        assert peak_memory(server.process.pid) - before < 32 * MEBIBYTE
