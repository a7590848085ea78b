"""Measures what the guard costs a WSGI request inside the process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Outcome
from perfguard.queueing import AdmissionQueue
from perfguard.wsgi import GuardMiddleware
from tests.benchmarks import instrumented
from tests.benchmarks.costs import Cost

App = Callable[[dict[str, Any], Any], Iterable[bytes]]

ROUNDS = 60
"""How often each side is measured; the median counts."""
CALLS = 500
"""Requests of each side in each round."""
AT_ONCE = 20
"""Of those that arrive together: for longer they would have stood in the kernel, which is recorded, too."""

_API_GOAL = 9e-6
_GUARD_GOAL = 6e-6
_HOUR = 3600.0


class Parts:
    """A body as frameworks return it: an iterator that is to be closed."""

    def __init__(self) -> None:
        self._parts = iter([b"ok"])

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Hold nothing."""


def bare(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with a list."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def iterated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer as a framework."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return Parts()


def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
    """Send nowhere."""


def environ(sock: socket.socket | None) -> dict[str, Any]:
    """A request as gunicorn describes it; without its socket as other servers do."""
    described: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_ACCEPT": "*/*",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
    }
    return described if sock is None else described | {"gunicorn.socket": sock}


def requests(sock: socket.socket, client: socket.socket) -> list[Cost]:
    """A request of each side, the sides interleaved, over both ends of a TCP connection."""
    recorded = instrumented.wsgi(bare)
    with full() as guard:
        times = interleaved(
            client,
            {
                "bare": (bare, sock),
                "guard": (GuardMiddleware(bare, telemetry=False), sock),
                "hidden": (GuardMiddleware(bare, telemetry=False), None),
                "iterated": (iterated, sock),
                "guarded": (GuardMiddleware(iterated, telemetry=False), sock),
                "api": (GuardMiddleware(bare), sock),
                **{name: (app, sock) for name, app in recorded.items()},
                "refusal": (GuardMiddleware(bare, guard), sock),
            },
        )
    return [
        Cost(name="WSGI: the guard, over the bare application", value=times["guard"] - times["bare"], goal=_GUARD_GOAL),
        Cost(name="WSGI: the guard where the server hides its connection", value=times["hidden"] - times["bare"]),
        Cost(
            name="WSGI: the guard, with a body that is an iterator as of frameworks",
            value=times["guarded"] - times["iterated"],
        ),
        Cost(name="WSGI: a refusal, all of it", value=times["refusal"]),
        Cost(name="WSGI: the guard with OpenTelemetry's API alone", value=times["api"] - times["bare"], goal=_API_GOAL),
        *instrumented.costs({name: times[name] - times["bare"] for name in recorded}, "WSGI: "),
    ]


def interleaved(client: socket.socket, sides: dict[str, tuple[App, socket.socket | None]]) -> dict[str, float]:
    """Median seconds of a request of each side."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (app, sock) in sides.items():
            samples[name].append(batch(client, app, sock))
    return {name: median(each) for name, each in samples.items()}


def batch(client: socket.socket, app: App, sock: socket.socket | None) -> float:
    """Seconds of a request, on average over a batch."""
    spent = 0.0
    for _ in range(CALLS // AT_ONCE):
        environs = [environ(sock) for _ in range(AT_ONCE)]
        # The kernel then says that the requests have just come.
        client.sendall(b"GET")
        start = time.perf_counter()
        for each in environs:
            serve(app, each)
        spent += time.perf_counter() - start
    return spent / CALLS


def serve(app: App, request: dict[str, Any]) -> None:
    """Do what a server does with a request."""
    body = app(request, start_response)
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()


@contextlib.contextmanager
def full() -> Iterator[Guard]:
    """A guard whose one permit and one place are taken, until the block ends."""
    queue = AdmissionQueue(target=_HOUR, interval=_HOUR, max_wait=_HOUR, min_length=1, max_length=1)
    guard = Guard(Limiter(FixedLimit(1), queue))
    first, second = guard.admit(), guard.admit()
    guard.enter(first)
    waiting = threading.Thread(target=guard.enter, args=[second])
    waiting.start()
    while not guard.snapshot().queued:
        time.sleep(0.001)
    try:
        yield guard
    finally:
        first.settle(Outcome.SUCCESS)
        waiting.join()
        second.settle(Outcome.SUCCESS)
