"""A server with every fault that a client can meet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

ANSWERS = {
    "/ok": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "/chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/refused": b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
    "/busy": b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
    "/missing": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    "/once": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
    "/garbage": b"I do not speak HTTP\r\n\r\n",
    "/truncated": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
}
CLOSING = ("/once", "/garbage", "/truncated", "/closed", "/second")


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        for number in range(1_000_000):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if b"content-length: " in head:
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            if path == "/late":
                await asyncio.sleep(0.15)
            if path == "/silent":
                await asyncio.sleep(3600.0)
            # A kept connection that is closed under its second request.
            answer = (
                ANSWERS["/ok"] if path == "/late" or (path == "/second" and number == 0) else ANSWERS.get(path, b"")
            )
            writer.write(answer)
            await writer.drain()
            if path in CLOSING and not (path == "/second" and number == 0):
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main(started: threading.Event, box: list[int], stop: asyncio.Event) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    box.append(server.sockets[0].getsockname()[1])
    started.set()
    await stop.wait()
    server.close()


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """Serve on a thread; the address."""
    started = threading.Event()
    box: list[int] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(_main(started, box, stop))
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(10.0)
    yield f"http://127.0.0.1:{box[0]}"
    loop.call_soon_threadsafe(stop.set)
    thread.join(10.0)
