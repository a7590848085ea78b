"""Faults around the WSGI middleware: each request goes on, each permit comes back, and the log says it once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Priority
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import App, Refusing, Server, answering, counts, environ, full_guard
from tests.wsgi.test_bodies import Parts
from tests.wsgi.test_environ import Mute


def fail(*_: object) -> Any:
    raise ZeroDivisionError


def thrice(middleware: GuardMiddleware, caplog: pytest.LogCaptureFixture, **more: Any) -> int:
    """Serve three requests; how often the log told of an error."""
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert Server().serve(middleware, environ(**more)).body == b"ok"
    assert counts(middleware.guard) == (0, 0)
    return len(caplog.records)


@pytest.mark.parametrize(
    "options",
    [
        {"key": fail},
        {"priority": fail},
        {"key": lambda environ: 7},
        {"key": lambda environ: environ["HTTP_NONE"]},
        {"priority": lambda environ: "high"},
    ],
    ids=range(5),
)
def test_a_key_or_priority_that_fails_lets_the_request_through(options: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert thrice(GuardMiddleware(answering(), **options), caplog) == 1


def test_an_error_inside_the_guard_lets_the_request_through(caplog: pytest.LogCaptureFixture) -> None:
    middleware = GuardMiddleware(answering(Parts(b"ok")))
    middleware.guard.enter = fail  # type: ignore[assignment] # A stand-in that fails.
    assert thrice(middleware, caplog) == 1


@pytest.mark.parametrize("clock", [fail, lambda: "now", lambda: float("nan")], ids=range(3))
def test_a_clock_that_fails_lets_requests_through(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    middleware = GuardMiddleware(answering(), Guard(Limiter(FixedLimit(1)), clock=clock), timeout=1.0)
    assert thrice(middleware, caplog) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"mod_wsgi.queue_start": object()},
        {"uwsgi.version": b"2"},
        {"HTTP_X_REQUEST_START": 7},
        {"HTTP_X_REQUEST_START": None},
        {"REMOTE_ADDR": 7},
        {"REMOTE_ADDR": []},
    ],
    ids=repr,
)
def test_a_strange_environ_lets_the_request_through(more: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert thrice(GuardMiddleware(answering(), trusted_proxies=["127.0.0.1"]), caplog, **more) <= 1


def test_a_strange_connection_counts_as_there(caplog: pytest.LogCaptureFixture) -> None:
    """Of waitress, where the request stood for long enough for a look."""
    middleware = GuardMiddleware(answering())
    more = {"waitress.client_disconnected": fail, "gunicorn.socket": Mute(), "mod_wsgi.queue_start": "1"}
    assert thrice(middleware, caplog, **more) == 0


@pytest.mark.parametrize("accept", [7, None, b"json"], ids=repr)
def test_a_refusal_that_cannot_be_rendered_is_a_plain_one(accept: Any) -> None:
    server = Server().serve(GuardMiddleware(answering(), Guard(Refusing())), environ(HTTP_ACCEPT=accept))
    assert (server.status, server.body) == ("503 Service Unavailable", b"")


def test_a_refusal_that_cannot_say_when_to_come_back_is_a_plain_one() -> None:
    server = Server().serve(GuardMiddleware(answering(), Guard(Refusing(float("nan")))))
    assert (server.status, server.body) == ("503 Service Unavailable", b"")


def test_what_ends_the_process_is_no_fault() -> None:
    def key(environ: Any) -> str:
        raise SystemExit

    with pytest.raises(SystemExit):
        Server().serve(GuardMiddleware(answering(), key=key))


def test_what_ends_a_greenlet_that_waits_goes_on() -> None:
    """As gevent's `Timeout` and `GreenletExit`: no Exception, and not a fault."""

    class Killed(BaseException):
        pass

    def enter(admission: Any) -> None:
        raise Killed

    guard = full_guard()
    middleware = GuardMiddleware(answering(), guard)
    guard.enter = enter  # type: ignore[method-assign] # A stand-in for a wait.
    with pytest.raises(Killed):
        Server().serve(middleware)


def test_what_ends_a_greenlet_that_looks_at_its_connection_keeps_no_permit() -> None:
    """Under gevent the look is a wait, at which a greenlet may be ended."""

    class Killed(BaseException):
        pass

    def disconnected() -> bool:
        raise Killed

    middleware = GuardMiddleware(answering(), full_guard(), trusted_proxies=["127.0.0.1"])
    old = f"t={time.time() - 1.0:.3f}"
    gone: dict[str, Any] = {"waitress.client_disconnected": disconnected, "HTTP_X_REQUEST_START": old}
    with pytest.raises(Killed):
        Server().serve(middleware, environ(**gone))
    assert counts(middleware.guard) == (0, 0)


def run(code: str) -> None:
    """Run code in a new process, which must say nothing and end well."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


OPEN = """
from perfguard.guard import Guard
from perfguard.wsgi import GuardMiddleware

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"a"
    yield b"b"

middleware = GuardMiddleware(app, Guard(listeners=[print] if {listening} else []))
body = middleware({{"PATH_INFO": "/"}}, lambda status, headers: None)
"""


@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.parametrize("read", ["", "next(body)"])
@pytest.mark.parametrize("kept", ["", "ring = [body]; ring.append(ring)", "import sys; sys.kept = body"])
def test_an_interpreter_that_ends_with_an_open_body_says_nothing(
    listening: bool,  # noqa: FBT001 # A column.
    read: str,
    kept: str,
) -> None:
    run(OPEN.format(listening=listening) + f"{read}\n{kept}\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_middleware_that_was_built_before_a_fork_works_in_the_child() -> None:
    """With every permit taken in the parent, a stream open there, and one that ends in the child."""
    run(
        OPEN.format(listening=False)
        + """
import os
from perfguard.limits import FixedLimit, Limiter
guard = Guard(Limiter(FixedLimit(2)))
middleware = GuardMiddleware(app, guard, max_streams=1)
def start():
    return middleware({"PATH_INFO": "/"}, lambda status, headers: None)
stream, held = start(), start()
next(stream)
held_too = guard.admit()
guard.enter(held_too)
assert guard.snapshot().in_flight == 2
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert (guard.snapshot().in_flight, middleware._streams.count) == (0, 0)
for _ in range(5):
    body = start()
    assert list(body) == [b"a", b"b"]
    body.close()
stream.close()
held.close()
assert (guard.snapshot().in_flight, middleware._streams.count) == (0, 0)
assert guard.snapshot().admitted == 5
"""
    )


def test_an_application_is_any_callable() -> None:
    class Application:
        def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
            return list(answering()(environ, start_response))

    app: App = Application()
    assert Server().serve(GuardMiddleware(app, priority=lambda environ: Priority.LOW)).body == b"ok"
