"""What the tests of the WSGI middleware share: applications, environs, and a server that records."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any
from wsgiref.util import setup_testing_defaults

from perfguard.errors import LimitExceeded
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Call, Outcome, Reason
from perfguard.queueing import AdmissionQueue
from perfguard.wsgi import GuardMiddleware

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

TEXT: Headers = [("Content-Type", "text/plain")]


def environ(path: str = "/", **more: Any) -> Environ:
    """A request as a server describes it."""
    base = {"PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1"}
    described: Environ = {**base, "wsgi.input": io.BytesIO(), **more}
    setup_testing_defaults(described)
    return described


def answering(body: Any = None, status: str = "200 OK", headers: Headers | None = None) -> App:
    """An application that answers so; by default with a list of one part."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [*TEXT, *(headers or [])])
        result: Iterable[bytes] = [b"ok"] if body is None else body() if callable(body) else body
        return result

    return app


class Server:
    """Serves requests to an application as PEP 3333 asks, and keeps what it was told.

    Attributes:
        steps: What happened, in order.
        status: The last status.
        headers: The last headers.
        body: All parts, joined.
    """

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.status = ""
        self.headers: Headers = []
        self.body = b""

    def start_response(self, status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        """As PEP 3333 has it."""
        if exc_info and self.body:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.status and not exc_info:
            raise AssertionError("headers are set")
        self.status, self.headers = status, list(headers)
        self.steps.append(("start", status, tuple(headers), exc_info and exc_info[0]))
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part."""
        self.steps.append(("part", data))
        self.body += data

    def serve(self, app: App, request: Environ | None = None) -> Server:
        """Serve one request to its end; an error goes on after `close`."""
        body = app(environ() if request is None else request, self.start_response)
        try:
            for part in body:
                self.write(part)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return self


def header(server: Server, name: str) -> str:
    """The value of a header of the answer."""
    return dict(server.headers)[name]


def full_guard(**arguments: Any) -> Guard:
    """A guard of one permit and one place to wait."""
    queue = AdmissionQueue(target=60.0, max_wait=60.0, min_length=1, max_length=1)
    return Guard(Limiter(FixedLimit(1), queue), **arguments)


class Refusing:
    """A policy that refuses.

    Args:
        retry_after: Seconds until a new attempt has a chance.
    """

    def __init__(self, retry_after: float = 1.0) -> None:
        self._retry_after = retry_after

    def admit(self, call: Call, now: float) -> None:
        """Refuse."""
        raise LimitExceeded(Reason.QUEUE_FULL, self._retry_after)

    def settle(self, ticket: None, outcome: Outcome, now: float) -> None:
        """Hold nothing."""


class Held:
    """A block in which the permit of a full guard is taken, and its place by a thread that waits."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._first = guard.admit()
        self._second = guard.admit()
        self._thread = threading.Thread(target=guard.enter, args=[self._second])

    def __enter__(self) -> None:
        assert self._guard.enter(self._first) is None
        self._thread.start()
        until_queued(self._guard, 1)

    def __exit__(self, *_: object) -> None:
        self._first.settle(Outcome.IGNORED)
        self._thread.join()
        self._second.settle(Outcome.IGNORED)
        assert counts(self._guard) == (0, 0)


def until_queued(guard: Guard, count: int) -> None:
    """Return once so many calls wait."""
    ready = threading.Event()
    while guard.snapshot().queued != count:
        ready.wait(0.001)


def counts(guard: Guard) -> tuple[int, int]:
    """Calls in flight and queued."""
    state = guard.snapshot()
    return state.in_flight, state.queued


def refused(middleware: GuardMiddleware, request: Environ | None = None) -> Server:
    """Serve a request while the permit and the place are taken."""
    with Held(middleware.guard):
        return Server().serve(middleware, request)
