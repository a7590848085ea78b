"""Clients that have left by the time their request is admitted, under WSGI."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from perfguard.testing import ManualClock
from tests.django import project as views
from tests.django.driving import ask, environ, guarded, tight


def _old(left: Any) -> dict[str, Any]:
    """What a server tells of a request that stood for a second, and of its client."""
    return {"HTTP_X_REQUEST_START": f"t={time.time() - 1.0:.3f}", "waitress.client_disconnected": left}


def test_it_is_not_served() -> None:
    """Nobody would read the answer."""
    handler, middleware = guarded(GUARD=tight(), TRUSTED_PROXIES=["127.0.0.1"])

    assert ask(handler, "/plain/", **_old(lambda: True)).status == 503
    assert ask(handler, "/plain/", **_old(lambda: False)).status == 200
    assert middleware.guard.snapshot().in_flight == 0


def test_it_is_served_in_a_dry_run() -> None:
    """In which nothing is refused."""
    handler, _ = guarded(GUARD=tight(dry_run=True), TRUSTED_PROXIES=["127.0.0.1"])

    assert ask(handler, "/plain/", **_old(lambda: True)).status == 200


def test_it_is_not_served_after_a_short_wait_in_the_queue() -> None:
    """Any wait is worth a look, as for any WSGI application."""
    clock = ManualClock()
    handler, middleware = guarded(GUARD=tight(clock=clock))
    views.gate.clear()
    views.served.clear()
    answers: list[int] = []

    def request(name: str, *, left: bool) -> threading.Thread:
        extra: dict[str, Any] = {"waitress.client_disconnected": lambda: left}
        thread = threading.Thread(target=lambda: answers.append(ask(handler, f"/hold/?name={name}", **extra).status))
        thread.start()
        return thread

    threads = [request("first", left=False)]
    _until(lambda: views.served == ["first"])
    threads.append(request("second", left=True))
    _until(lambda: middleware.guard.snapshot().queued == 1)
    clock.advance(0.001)
    views.gate.set()
    for thread in threads:
        thread.join()

    assert (sorted(answers), views.served) == ([200, 503], ["first"])


def test_what_ends_a_greenlet_that_looks_keeps_no_permit() -> None:
    """Under gevent the look is a wait, at which a greenlet may be ended."""

    class Killed(BaseException):
        pass

    def disconnected() -> bool:
        raise Killed

    handler, middleware = guarded(GUARD=tight(), TRUSTED_PROXIES=["127.0.0.1"])
    with pytest.raises(Killed):
        handler(environ("/plain/", **_old(disconnected)), lambda *_: None)

    assert middleware.guard.snapshot().in_flight == 0


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
