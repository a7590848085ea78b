"""What the middleware admits, refuses and learns."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started

import perfguard.asgi
import perfguard.wsgi
import perfguard_django.asgi
import perfguard_django.wsgi
from perfguard import Guard, KeyedLimiter, Limiter, Outcome, Priority
from perfguard.events import Settled
from perfguard.limits import FixedLimit
from perfguard.targets import Target
from perfguard.testing import RecordingListener
from perfguard_django import GuardMiddleware
from tests.django import project as views
from tests.django.driving import (
    Answer,
    Client,
    ask,
    ask_asgi,
    environ,
    guarded,
    guarded_asgi,
    project,
    scope,
    tight,
)

SYNC_ONLY = "tests.django.test_transparency.sync_only"


@pytest.fixture(autouse=True)
def _shut_gate() -> Iterator[None]:
    views.gate.clear()
    yield
    views.gate.set()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline


async def _soon(condition: Any) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


@contextmanager
def _held(handler: Any, guard: Guard, count: int = 1) -> Iterator[list[int]]:
    """So many requests of `/hold/`: the first in flight, the others queued."""
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(handler, "/hold/").status)) for _ in range(count)]
    for thread in threads:
        thread.start()
    _until(lambda: guard.snapshot().in_flight + guard.snapshot().queued == count)
    try:
        yield answers
    finally:
        views.gate.set()
        for thread in threads:
            thread.join()


def test_a_thread_waits_its_turn_and_what_does_not_fit_is_refused() -> None:
    """One in flight, one queued, the third gets 503 at once."""
    handler, middleware = guarded(GUARD=tight())

    with _held(handler, middleware.guard, 2) as answers:
        refused = ask(handler, "/hold/")
        assert ask(handler, "/plain/").status == 200

    assert refused.status == 503
    assert 1 <= int(refused.header("Retry-After") or 0) <= 30
    assert refused.body == b"Service overloaded\n"
    assert refused.header("Content-Length") == str(len(refused.body))
    assert answers == [200, 200]
    assert middleware.guard.snapshot().in_flight == 0


def test_a_refusal_is_json_where_json_is_asked_for_and_has_no_body_for_head() -> None:
    """The reason is named where the setting says so."""
    handler, middleware = guarded(GUARD=tight(), DETAILS=True)

    with _held(handler, middleware.guard, 2):
        problem = ask(handler, "/hold/", HTTP_ACCEPT="application/json")
        head = ask(handler, "/hold/", "HEAD")

    assert problem.header("Content-Type") == "application/problem+json"
    assert b'"detail":"queue_full"' in problem.body
    assert head.body == b""
    assert head.header("Content-Length") == str(len(b"Service overloaded\nqueue_full\n"))


def test_refusals_are_not_logged_as_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Django would mail each of them to the administrators."""
    handler, middleware = guarded(GUARD=tight())

    with caplog.at_level(logging.DEBUG, "django"), _held(handler, middleware.guard, 2):
        ask(handler, "/hold/")

    assert caplog.records == []


def test_tasks_wait_their_turn_and_what_does_not_fit_is_refused() -> None:
    """As threads do, and no thread is taken by one that waits."""
    handler, middleware = guarded_asgi(GUARD=tight())

    async def scenario() -> None:
        guard = middleware.guard
        waiting = [asyncio.create_task(ask_asgi(handler, "/hold-async/")) for _ in range(2)]
        await _soon(lambda: (guard.snapshot().in_flight, guard.snapshot().queued) == (1, 1))
        refused = await ask_asgi(handler, "/hold-async/", headers=((b"accept", b"application/json"),))
        views.gate.set()
        answers = await asyncio.gather(*waiting)

        assert refused.status == 503
        assert refused.header("Content-Type") == "application/problem+json"
        assert [each.status for each in answers] == [200, 200]
        assert guard.snapshot().in_flight == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("waiting", ["in flight", "queued"])
def test_a_client_that_leaves_gives_its_place_back(waiting: str) -> None:
    """Whether it was served or waited; nothing is learnt of it."""
    handler, middleware = guarded_asgi(GUARD=tight())
    guard = middleware.guard

    async def scenario() -> None:
        first, second = Client(), Client()
        tasks = [
            asyncio.create_task(handler(scope("/hold-async/"), each.receive, each.send)) for each in (first, second)
        ]
        await _soon(lambda: (guard.snapshot().in_flight, guard.snapshot().queued) == (1, 1))
        leaving, staying = (first, 1) if waiting == "in flight" else (second, 0)
        leaving.left.set()
        await tasks[1 - staying]
        await _soon(lambda: (guard.snapshot().in_flight, guard.snapshot().queued) == (1, 0))
        assert leaving.sent == []
        views.gate.set()
        await tasks[staying]

    asyncio.run(scenario())
    snapshot = guard.snapshot()
    assert (snapshot.in_flight, snapshot.queued) == (0, 0)
    assert snapshot.settled == (
        {Outcome.IGNORED: 1, Outcome.SUCCESS: 1} if waiting == "in flight" else {Outcome.SUCCESS: 1}
    )


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
@pytest.mark.parametrize("asgi", [False, True], ids=["wsgi", "asgi"])
@pytest.mark.parametrize(
    ("path", "key", "outcome"),
    [
        ("/", "/", Outcome.SUCCESS),
        ("/plain/", "/plain/", Outcome.SUCCESS),
        ("/boom/", "/boom/", Outcome.FAILURE),
        ("/missing/", "/missing/", Outcome.IGNORED),
        ("/status/503/", "/status/<int:code>/", Outcome.DROPPED),
        ("/nowhere/", "_UNMATCHED", Outcome.IGNORED),
        ("/admin/users/3/", "/admin/users/<int:pk>/", Outcome.SUCCESS),
        ("/old/1999/", "/^old/(?P<year>[0-9]{4})/$", Outcome.SUCCESS),
        ("/file/", "/file/", Outcome.SUCCESS),
        ("/stream-async/", "/stream-async/", Outcome.SUCCESS),
    ],
)
def test_requests_count_by_route_and_settle_by_status(asgi: bool, path: str, key: str, outcome: Outcome) -> None:  # noqa: FBT001
    """A second time as the first, though a path without parameters is then known."""
    listener = RecordingListener()
    guard = Guard(KeyedLimiter(), listeners=[listener])
    handler = guarded_asgi(GUARD=guard)[0] if asgi else guarded(GUARD=guard)[0]

    for _ in range(2):
        if asgi:
            asyncio.run(ask_asgi(handler, path))
        else:
            ask(handler, path)

    settled = [each for each in listener.events if isinstance(each, Settled)]
    assert [(each.key, each.outcome) for each in settled] == [(key, outcome)] * 2


@pytest.mark.parametrize("path", ["/marked/", "/child/", "/healthz/", "/release/", "/static/x.css"])
def test_what_is_exempt_passes_untouched(path: str) -> None:
    """By a mark of the view, or by its path."""
    handler, middleware = guarded(GUARD=tight(), EXEMPT=["/healthz/", "/static/*"])

    ask(handler, path)

    assert middleware.guard.snapshot().admitted == 0


def test_a_stream_gives_its_permit_back_with_its_first_part() -> None:
    """And then counts as an open stream."""
    handler, middleware = guarded(GUARD=tight())
    body = iter(handler(environ("/stream/"), lambda *_: None))

    assert middleware.guard.snapshot().in_flight == 1
    assert next(body) == b"one "
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}
    assert repr(middleware).endswith(", 1 streams open>")
    list(body)
    assert repr(middleware).endswith(", 0 streams open>")


def test_a_stream_over_the_cap_keeps_its_permit_to_its_end() -> None:
    """Streams are bounded without being cut."""
    handler, middleware = guarded(GUARD=tight(), MAX_STREAMS=0)
    response = handler(environ("/stream/"), lambda *_: None)
    body = iter(response)
    next(body)

    assert middleware.guard.snapshot().in_flight == 1
    assert list(body) == [b"two ", b"three"]
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}


@pytest.mark.parametrize("ending", ["closed", "dropped"])
def test_a_stream_that_is_never_read_gives_its_permit_back(ending: str) -> None:
    """When its response is closed, or at the latest when it is gone."""
    handler, middleware = guarded(GUARD=tight())
    response = handler(environ("/stream/"), lambda *_: None)
    if ending == "closed":
        response.close()
    del response
    gc.collect()

    assert middleware.guard.snapshot().in_flight == 0


@pytest.mark.parametrize(
    ("path", "parts", "outcome"),
    [
        ("/stream-broken/", 1, Outcome.SUCCESS),
        ("/stream-broken/", 0, Outcome.FAILURE),
        ("/stream-empty/", 1, Outcome.SUCCESS),
    ],
)
def test_a_stream_that_breaks_settles_once(path: str, parts: int, outcome: Outcome) -> None:
    """As a failure where no first part came, or where the permit was kept over the cap."""
    handler, middleware = guarded(GUARD=tight(), MAX_STREAMS=parts)

    ask(handler, path)

    assert middleware.guard.snapshot().settled == {outcome: 1}


def test_a_stream_that_was_read_is_no_longer_read() -> None:
    """As little as a generator that was closed."""
    handler, _ = guarded()
    response = handler(environ("/stream/"), lambda *_: None)
    response.close()

    assert list(response) == []


def test_an_async_stream_gives_its_permit_back_with_its_first_part() -> None:
    """Before the message is sent."""
    handler, middleware = guarded_asgi(GUARD=tight())
    in_flight: list[int] = []

    async def scenario() -> None:
        client = Client()

        async def send(message: dict[str, Any]) -> None:
            in_flight.append(middleware.guard.snapshot().in_flight)

        await handler(scope("/stream-async/"), client.receive, send)

    asyncio.run(scenario())
    assert in_flight == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("path", ["/context/", "/context-async/"])
@pytest.mark.parametrize("below", [[], [SYNC_ONLY]], ids=["", "sync-only below"])
def test_views_of_either_colour_see_their_deadline(path: str, below: list[str]) -> None:
    """Whichever thread they run on."""
    with project(settings.GUARD, *below, TIMEOUT=5.0):
        wsgi, asgi = WSGIHandler(), ASGIHandler()

    assert ask(wsgi, path).body == f"True {path}".encode()
    assert asyncio.run(ask_asgi(asgi, path)).body == f"True {path}".encode()


@pytest.mark.parametrize("path", ["/context/", "/context-async/"])
def test_a_guard_that_is_off_leaves_the_deadline(path: str) -> None:
    """And nothing else."""
    with project(settings.GUARD, TIMEOUT=5.0, ENABLED=False):
        wsgi, asgi = WSGIHandler(), ASGIHandler()
    with project(settings.GUARD, ENABLED=False):
        without = WSGIHandler()

    assert ask(wsgi, path).body == b"True None"
    assert asyncio.run(ask_asgi(asgi, path)).body == b"True None"
    assert ask(without, path).body == b"False None"


def test_a_request_that_is_too_old_is_refused() -> None:
    """By the stamp of a trusted proxy, under either protocol."""
    stamp = f"t={time.time() - 10.0:.3f}"
    setting = {"TIMEOUT": 2.0, "TRUSTED_PROXIES": ["127.0.0.0/8"]}
    headers = ((b"x-request-start", stamp.encode()),)

    assert ask(guarded(**setting)[0], "/plain/", HTTP_X_REQUEST_START=stamp).status == 503
    assert asyncio.run(ask_asgi(guarded_asgi(**setting)[0], "/plain/", headers=headers)).status == 503
    assert ask(guarded(TIMEOUT=2.0)[0], "/plain/", HTTP_X_REQUEST_START=stamp).status == 200


def test_a_request_is_admitted_once() -> None:
    """Inside of the guard around the application the middleware lets pass; outside of it, it does not."""
    inner, outer = tight(), Guard(Limiter(FixedLimit(5)))
    handler, _ = guarded(GUARD=inner)
    asgi_handler, _ = guarded_asgi(GUARD=inner)

    ask(perfguard.wsgi.GuardMiddleware(handler, outer), "/plain/")
    asyncio.run(ask_asgi(perfguard.asgi.GuardMiddleware(asgi_handler, outer), "/plain/"))

    assert (outer.snapshot().admitted, inner.snapshot().admitted) == (2, 0)


def test_middleware_of_one_colour_below_makes_it_work_on_threads() -> None:
    """Django then runs all that stands before such middleware on the request's thread."""
    with project(settings.GUARD, SYNC_ONLY, GUARD=tight()):
        handler = ASGIHandler()

    assert asyncio.run(ask_asgi(handler, "/plain-async/")).body == b"plain async"


def test_a_priority_outranks_what_stands_in_the_queue() -> None:
    """Of the same route: the mark decides who goes when the queue is full."""
    with project(settings.GUARD):
        middleware = GuardMiddleware(lambda request: None)
    find = middleware._routes.find  # noqa: SLF001

    assert find("/important/3/").priority == Priority.HIGH
    assert find("/dispatched/").priority == Priority.LOW
    assert find("/wrapped/").priority == Priority.CRITICAL
    assert find("/child/") == Target(key="/child/", priority=Priority.BACKGROUND, exempt=True)
    assert find("/plain/").priority == Priority.NORMAL


def test_faults_of_its_own_let_requests_pass(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Each kind is logged once."""
    handler, middleware = guarded()
    asgi_handler, asgi_middleware = guarded_asgi()

    def broken(*_: Any, **__: Any) -> Any:
        raise LookupError("broken")

    for each in (middleware, asgi_middleware):
        for name in ("enter", "begin"):
            monkeypatch.setattr(each.guard, name, broken)
    monkeypatch.setattr("perfguard._guarding.age_of", broken)
    monkeypatch.setattr("perfguard_django.middleware.follow", broken)
    monkeypatch.setattr("perfguard_django.routes._resolve", broken)

    for _ in range(2):
        assert ask(handler, "/plain/").body == b"plain"
        assert asyncio.run(ask_asgi(asgi_handler, "/plain/")).body == b"plain"

    assert len([each for each in caplog.records if each.name == "perfguard"]) == 8


@pytest.mark.parametrize("path", ["/plain/", "/stream/", "/boom/", "/nowhere/", "/healthz/"])
def test_the_guard_around_the_application_changes_nothing(path: str) -> None:
    """In either protocol, with the middleware listed as well."""
    with project(settings.GUARD, *settings.BELOW):
        wsgi, asgi = WSGIHandler(), ASGIHandler()
        around_wsgi, around_asgi = (
            perfguard_django.wsgi.GuardMiddleware(wsgi),
            perfguard_django.asgi.GuardMiddleware(asgi),
        )

    assert ask(around_wsgi, path) == ask(wsgi, path)
    if path != "/stream/":
        assert asyncio.run(ask_asgi(around_asgi, path)) == asyncio.run(ask_asgi(asgi, path))
    admitted = 0 if path == "/healthz/" else 1
    assert around_wsgi.guard.snapshot().admitted == admitted


def test_the_guard_around_the_application_knows_routes_and_marks() -> None:
    """It reads the same setting, and the view shows its guard."""
    with project(settings.GUARD, TIMEOUT=5.0, EXEMPT=["/healthz/", "/perfguard/*"]):
        around_wsgi, around_asgi = (
            perfguard_django.wsgi.GuardMiddleware(WSGIHandler()),
            perfguard_django.asgi.GuardMiddleware(ASGIHandler()),
        )

    def keys(answer: Answer) -> list[str]:
        return [each["key"] for each in json.loads(answer.body)["limiters"]]

    for path in ("/admin/users/3/", "/marked/", "/nowhere/"):
        ask(around_wsgi, path)
        asyncio.run(ask_asgi(around_asgi, path))
    assert (
        ask(around_wsgi, "/context/").body == asyncio.run(ask_asgi(around_asgi, "/context/")).body == b"True /context/"
    )
    assert keys(ask(around_wsgi, "/perfguard/")) == ["/admin/users/<int:pk>/", "_UNMATCHED", "/context/"]
    assert keys(asyncio.run(ask_asgi(around_asgi, "/perfguard/"))) == keys(ask(around_wsgi, "/perfguard/"))


def test_the_guard_around_the_application_refuses_before_django_knows() -> None:
    """No signal of Django's is sent."""
    with project(settings.GUARD, GUARD=tight()):
        handler = perfguard_django.wsgi.GuardMiddleware(WSGIHandler())
    started: list[Any] = []

    def note(**_: Any) -> None:
        started.append(1)

    with _held(handler, handler.guard, 2):
        request_started.connect(note)
        answers = [ask(handler, "/hold/").status]
        request_started.disconnect(note)

    assert answers == [503]
    assert started == []


def test_a_mounted_project_has_the_same_routes() -> None:
    """The prefix belongs to the server."""
    with project(settings.GUARD):
        handler = perfguard_django.asgi.GuardMiddleware(ASGIHandler())

    asyncio.run(ask_asgi(handler, "/shop/plain/", root_path="/shop"))

    assert [each.key for each in handler.guard.snapshot().limiters] == ["/plain/"]
