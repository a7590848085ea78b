"""PEP 3333, step for step: with the middleware as without it, by servers and clients of others."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from perfguard.outcome import Outcome
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import TEXT, App, Environ, Server, StartResponse, answering, environ, full_guard, refused
from tests.wsgi.test_bodies import Parts, Sized, failing


def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b""
    yield b"a"
    yield b"b"


def writing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"a")
    return [b"b"]


def replacing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    try:
        raise ValueError
    except ValueError as error:
        start_response("500 Oops", TEXT, (ValueError, error, error.__traceback__))
    return [b"sorry"]


def raising(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("mine")


def wrapping(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    file = io.BytesIO(b"a" * 100)
    body: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 30) if "wsgi.file_wrapper" in environ else file
    return body


def reading(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read(3)]


def nothing(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)


@Request.application
def werkzeug_app(request: Request) -> Response:
    response = Response("ok", headers={"x-path": request.path, "etag": '"1"'})
    response.make_conditional(request)
    return response


@Request.application
def werkzeug_stream(request: Request) -> Response:
    return Response((part for part in (b"a", b"b")), content_type="text/plain")


APPS: dict[str, App] = {
    "list": answering(),
    "tuple": answering((b"a", b"b")),
    "empty list": answering([]),
    "parts": answering(lambda: Parts(b"a", b"b")),
    "sized": answering(lambda: Sized(b"a")),
    "generator": generating,
    "write": writing,
    "exc_info": replacing,
    "raises": raising,
    "raises in its body": answering(failing(b"a")),
    "raises before its body": answering(failing()),
    "file": wrapping,
    "reads": reading,
    "204": answering([], "204 No Content"),
    "304": answering(Parts, "304 Not Modified"),
    "length": answering(lambda: Parts(b"o", b"k"), headers=[("Content-Length", "2")]),
    "two cookies": answering(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "text": answering(["text"]),
    "none": nothing,
    "werkzeug": werkzeug_app,
    "werkzeug stream": werkzeug_stream,
}
# Werkzeug's client raises what an application passes on as an error.
PLAIN = [name for name in APPS if "raises" not in name and name not in ("text", "none", "exc_info")]
METHODS = ["GET", "HEAD", "POST"]


class Handler(SimpleHandler):
    """wsgiref's, without the date and the trace of an error."""

    origin_server = False

    def log_exception(self, exc_info: Any) -> None:
        """Tell nobody."""


def by_wsgiref(app: App, method: str) -> bytes:
    """The bytes that wsgiref sends."""
    output = io.BytesIO()
    handler = Handler(io.BytesIO(b"body"), output, io.StringIO(), environ(REQUEST_METHOD=method))
    handler.run(app)
    return output.getvalue()


def steps(app: App, method: str) -> list[Any]:
    """What a server is told, the error with which it ends last."""
    server = Server()
    try:
        server.serve(app, environ(REQUEST_METHOD=method))
    except Exception as error:  # noqa: BLE001 # It is what is compared.
        return [*server.steps, repr(error)]
    return server.steps


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", APPS)
def test_a_server_is_told_the_same_step_for_step(name: str, method: str) -> None:
    middleware = GuardMiddleware(APPS[name])
    assert steps(middleware, method) == steps(APPS[name], method)
    assert middleware.guard.snapshot().in_flight == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", APPS)
def test_wsgiref_sends_the_same_bytes(name: str, method: str) -> None:
    middleware = GuardMiddleware(APPS[name])
    assert by_wsgiref(middleware, method) == by_wsgiref(APPS[name], method)
    assert middleware.guard.snapshot().in_flight == 0


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_werkzeugs_client_sees_the_same_response(name: str, buffered: bool) -> None:  # noqa: FBT001 # A column.
    middleware = GuardMiddleware(APPS[name])
    seen = []
    for app in (APPS[name], middleware):
        for headers in ({}, {"If-None-Match": '"1"'}):
            with Client(app).get("/x", headers=headers, buffered=buffered) as response:
                seen.append((response.status, sorted(response.headers), response.get_data()))
    assert seen[:2] == seen[2:]
    assert middleware.guard.snapshot().in_flight == 0


VALID = ["list", "parts", "generator", "write", "exc_info", "204", "304", "two cookies"]


def _typed(app: App) -> App:
    """The validator wants no type of content where there is none."""

    def typed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            return start_response(status, [] if status[:3] in ("204", "304") else headers, *exc_info)

        return app(environ, start)

    return typed


@pytest.mark.parametrize("name", VALID)
def test_the_validator_finds_nothing_around_and_inside_of_it(name: str) -> None:
    inside: Any = validator(_typed(APPS[name]))
    app: Any = validator(GuardMiddleware(inside))
    assert by_wsgiref(app, "GET") == by_wsgiref(_typed(APPS[name]), "GET")


def test_the_validator_finds_nothing_in_a_refusal() -> None:
    guarded = GuardMiddleware(answering(), full_guard())
    checked: Any = validator(guarded)
    checked.guard = guarded.guard
    for method in ("GET", "HEAD"):
        assert refused(checked, environ(REQUEST_METHOD=method)).status == "503 Service Unavailable"


def test_two_guards_one_in_the_other_each_count_their_own() -> None:
    inner = GuardMiddleware(answering(lambda: Parts(b"a", b"b")))
    outer = GuardMiddleware(inner)
    assert Server().serve(outer).body == b"ab"
    for each in (inner, outer):
        assert each.guard.snapshot().settled == {Outcome.SUCCESS: 1}
