"""Measures what the guard costs inside the process: each request, each refusal, and the import."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from starlette.middleware.base import BaseHTTPMiddleware

sys.path.insert(0, str(Path(__file__).parents[2]))

from perfguard.asgi import GuardMiddleware
from tests.benchmarks import instrumented, wsgi_costs
from tests.benchmarks.costs import Cost, head, line
from tests.benchmarks.refusing import AlwaysFull
from tests.benchmarks.serving import CORES, ROOT, pinned

App = Callable[[Any, Any, Any], Awaitable[None]]

ROUNDS = 60
"""How often each side is measured; the median counts."""
CALLS = 500
"""Requests of each side in each round."""
AT_ONCE = 20
"""Of those that arrive together: for longer they would have stood in the kernel, which is recorded, too."""
IMPORTS = 25

_API_GOAL = 9e-6
_GUARD_GOAL = 6e-6
_IMPORT_GOAL = 0.04


class Connection:
    """A request's `receive` as uvicorn gives it: a method of what holds the transport of a real connection.

    Args:
        sock: The server's end of a TCP connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.transport = self
        self._sock = sock

    def get_extra_info(self, name: str) -> Any:
        """The socket, as of `asyncio.Transport`."""
        return self._sock

    def is_closing(self) -> bool:
        """No, as of `asyncio.Transport`."""
        return False

    async def receive(self) -> dict[str, Any]:
        """An empty body."""
        return {"type": "http.request", "body": b"", "more_body": False}


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def drop(message: Any) -> None:
    """Send nowhere."""


async def hidden() -> dict[str, Any]:
    """A `receive` behind which no transport is found."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def pass_on(request: Any, call_next: Any) -> Any:
    """What `BaseHTTPMiddleware` dispatches to."""
    return await call_next(request)


def scope() -> dict[str, Any]:
    """A request as a server describes it."""
    headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"perfguard-load"), (b"accept", b"*/*")]
    address = ("127.0.0.1", 8000)
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "client": address,
        "server": address,
    }


def costs() -> list[Cost]:
    """All of it, on the core that servers are measured on."""
    with pinned(CORES.server):
        asgi = uvloop.run(requests())
        with connected() as (sock, client):
            return [*asgi, *wsgi_costs.requests(sock, client), *imports()]


async def requests() -> list[Cost]:
    """A request of each side, one in each turn of the loop, the sides interleaved."""
    with connected() as (sock, client):
        receive = Connection(sock).receive
        recorded = instrumented.asgi(bare)
        full = AlwaysFull(lambda guard: GuardMiddleware(bare, guard))
        await full.fill()
        times = await interleaved(
            client,
            {
                "bare": (bare, receive),
                "guard": (GuardMiddleware(bare, telemetry=False), receive),
                "hidden": (GuardMiddleware(bare, telemetry=False), hidden),
                "api": (GuardMiddleware(bare), receive),
                **{name: (app, receive) for name, app in recorded.items()},
                "base": (BaseHTTPMiddleware(bare, pass_on), receive),
                "refusal": (full, receive),
            },
        )
        await full.empty()
    over = {name: each - times["bare"] for name, each in times.items()}
    return [
        Cost(name="the guard, over the bare application", value=over["guard"], goal=_GUARD_GOAL),
        Cost(name="the guard where the server hides its connection", value=over["hidden"]),
        Cost(name="Starlette's BaseHTTPMiddleware, over the bare application", value=over["base"]),
        Cost(name="a refusal, all of it", value=times["refusal"]),
        Cost(name="the guard with OpenTelemetry's API alone", value=over["api"], goal=_API_GOAL),
        *instrumented.costs({name: over[name] for name in recorded}),
    ]


async def interleaved(client: socket.socket, sides: dict[str, tuple[App, Any]]) -> dict[str, float]:
    """Median seconds of a request of each side; the loop's own turn is taken off."""
    samples: dict[str, list[float]] = {name: [] for name in (*sides, "turn")}
    for _ in range(ROUNDS):
        samples["turn"].append(await turns())
        for name, (app, receive) in sides.items():
            samples[name].append(await batch(client, app, receive))
    middles = {name: median(each) for name, each in samples.items()}
    return {name: middles[name] - middles["turn"] for name in sides}


async def batch(client: socket.socket, app: App, receive: Any) -> float:
    """Seconds of a request and a turn of the loop, on average over a batch."""
    spent = 0.0
    for _ in range(CALLS // AT_ONCE):
        scopes = [scope() for _ in range(AT_ONCE)]
        # The kernel then says that the requests have just come.
        client.sendall(b"GET")
        start = time.perf_counter()
        for each in scopes:
            await app(each, receive, drop)
            await asyncio.sleep(0)
        spent += time.perf_counter() - start
    return spent / CALLS


async def turns() -> float:
    """Seconds of a turn of the loop, on average over a batch."""
    start = time.perf_counter()
    for _ in range(CALLS):
        await asyncio.sleep(0)
    return (time.perf_counter() - start) / CALLS


def imports() -> list[Cost]:
    """Starting an interpreter with and without `import perfguard`, interleaved."""
    statements = {
        "bare": "pass",
        "core": "import perfguard",
        "asgi": "import perfguard.asgi",
        "wsgi": "import perfguard.wsgi",
    }
    samples: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(IMPORTS):
        for name, statement in statements.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
            samples[name].append(time.perf_counter() - start)
    middles = {name: median(each) for name, each in samples.items()}
    return [
        _import(statements["core"], middles["core"] - middles["bare"], _IMPORT_GOAL),
        _import(statements["asgi"], middles["asgi"] - middles["bare"]),
        _import(statements["wsgi"], middles["wsgi"] - middles["bare"]),
    ]


def _import(statement: str, value: float, goal: float | None = None) -> Cost:
    return Cost(name=f"`{statement}`, over a bare interpreter", value=value, goal=goal, scale=1e3, unit="ms")


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection, the server's first."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        # Else what is sent stands in the client until the other side acknowledges.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with accepted:
            yield accepted, client


if __name__ == "__main__":
    print(head())
    for cost in costs():
        print(line(cost))
