"""The kernel's queue time under a blocked event loop, held against the clients' own clock."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers import PATIENCE, Running, parsed, read_all, running

APP = """
import json, time
from perfguard.asgi import GuardMiddleware
from perfguard.context import current_admission
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/block":
        open("blocked", "w").close()
        time.sleep(0.4)
    admission = current_admission.get()
    told = [admission.admitted_at, admission.queue_time] if admission else []
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})

app = GuardMiddleware(app, Guard(Limiter(FixedLimit(1000), None)))
"""

SERVERS = {
    "uvloop httptools": ["--loop", "uvloop", "--http", "httptools"],
    "asyncio h11": ["--loop", "asyncio", "--http", "h11"],
}

NEAR = 0.008
"""Seconds: two steps of the kernel's clock, of 4 ms."""


class Sent:
    """A request, and the instants between which it was sent."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self.earliest = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        self.latest = time.monotonic()

    def told(self) -> tuple[float, float]:
        """The instant at which the server says that it came, and its queue time; both clocks are the machine's."""
        status, body = parsed(read_all(self._client))
        assert status == 200
        admitted_at, queue_time = json.loads(body)
        return admitted_at - queue_time, queue_time


def sent_while_blocked(server: Running, clients: Iterable[socket.socket]) -> Iterator[Sent]:
    """Send a request every 50 ms while the loop is blocked."""
    with ThreadPoolExecutor(1) as pool:
        blocking = pool.submit(server.get, "/block")
        server.until_file("blocked")
        for client in clients:
            yield Sent(client)
            time.sleep(0.05)
        assert blocking.result()[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["open before", "new"])
@pytest.mark.parametrize("options", SERVERS.values(), ids=SERVERS)
def test_the_arrival_is_within_8_ms_of_the_truth_under_a_blocked_loop(
    options: list[str], connection: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    with ExitStack() as stack:
        server = stack.enter_context(running(["-m", "uvicorn", "app:app", "--port", "{port}", *options], tmp_path))
        address = "127.0.0.1", server.port
        clients: Iterable[socket.socket] = (
            stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(7)
        )
        sent = list(sent_while_blocked(server, list(clients) if connection == "open before" else clients))
        told = [each.told() for each in sent]
    assert max(queue_time for _, queue_time in told) > 0.1
    for each, (arrival, _) in zip(sent, told, strict=True):
        assert each.earliest - NEAR <= arrival <= each.latest + NEAR
