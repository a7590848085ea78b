"""Django's handlers, driven as servers drive them, message for message."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, NamedTuple

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from perfguard import AdmissionQueue, Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit
from perfguard_django import GuardMiddleware


class Answer(NamedTuple):
    """What a server sees of a response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    parts: tuple[bytes, ...]
    error: str = ""

    @property
    def body(self) -> bytes:
        """All parts."""
        return b"".join(self.parts)

    def header(self, name: str) -> str | None:
        """A header's value."""
        return dict(self.headers).get(name)


def tight(**arguments: Any) -> Guard:
    """A guard that admits one call of each kind, and lets one wait."""
    queue: Callable[[], AdmissionQueue] = lambda: AdmissionQueue(target=60.0, max_wait=60.0, min_length=1, max_length=1)  # noqa: E731
    return Guard(KeyedLimiter(lambda key: Limiter(FixedLimit(1), queue(), key=key)), **arguments)


@contextmanager
def project(*middleware: str, **setting: Any) -> Iterator[None]:
    """Run the block with that middleware, and `PERFGUARD` set so."""
    with override_settings(MIDDLEWARE=list(middleware), PERFGUARD=setting):
        yield


def guarded(**setting: Any) -> tuple[Any, GuardMiddleware]:
    """A WSGI handler, and its middleware."""
    middleware: list[GuardMiddleware] = []
    with project(settings.GUARD, *settings.BELOW, **setting), _noted(middleware):
        return WSGIHandler(), middleware[-1]


def guarded_asgi(**setting: Any) -> tuple[Any, GuardMiddleware]:
    """An ASGI handler, and its middleware."""
    middleware: list[GuardMiddleware] = []
    with project(settings.GUARD, *settings.BELOW, **setting), _noted(middleware):
        return ASGIHandler(), middleware[-1]


@contextmanager
def _noted(made: list[GuardMiddleware]) -> Iterator[None]:
    original = GuardMiddleware.__init__

    def noting(self: GuardMiddleware, get_response: Any) -> None:
        made.append(self)
        original(self, get_response)

    GuardMiddleware.__init__ = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        GuardMiddleware.__init__ = original  # type: ignore[method-assign]


def environ(path: str, method: str = "GET", **extra: Any) -> dict[str, Any]:
    """An environ as servers make it."""
    path, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **extra,
    }


def ask(handler: Any, path: str, method: str = "GET", *, most: int | None = None, **extra: Any) -> Answer:
    """Return the answer of a WSGI handler; of its parts at most so many, and then the client leaves."""
    started: list[Any] = []
    body = handler(environ(path, method, **extra), lambda *given: started.append(given))
    parts, error = [], ""
    try:
        for part in body:
            parts.append(part)
            if len(parts) == most:
                break
    except RuntimeError as broken:
        error = str(broken)
    finally:
        getattr(body, "close", lambda: None)()
    status, headers = started[-1][:2]
    return Answer(int(status[:3]), tuple(sorted(headers)), tuple(parts), error)


def scope(path: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, Any]:
    """A scope as servers make it."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("test", 80),
        "client": ("127.0.0.1", 5),
        "headers": list(headers),
    }


class Client:
    """One client of an ASGI handler; leaves when it is told to."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.sent: list[Mapping[str, Any]] = []
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        """The request, and then nothing until the client leaves."""
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take a message of the server's."""
        self.sent.append(message)


def _close_what_django_leaves_open(error: BaseException) -> None:
    """Close the request's body: where a stream raises, `ASGIHandler.handle` does not."""
    for frame, _ in walk_tb(error.__traceback__):
        if "body_file" in frame.f_locals:
            frame.f_locals["body_file"].close()


async def ask_asgi(
    handler: Any, path: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = (), **extra: Any
) -> Answer:
    """Return the answer of an ASGI handler."""
    client, error = Client(), ""
    try:
        await handler({**scope(path, method, headers), **extra}, client.receive, client.send)
    except RuntimeError as broken:
        error = str(broken)
        _close_what_django_leaves_open(broken)
    start = client.sent[0]
    named = sorted((name.decode(), value.decode()) for name, value in start["headers"])
    return Answer(start["status"], tuple(named), tuple(each.get("body", b"") for each in client.sent[1:]), error)
