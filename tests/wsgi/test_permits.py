"""No permit is ever lost and no stream ever stays open, whatever applications, servers and threads do."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import TEXT, Environ, StartResponse, counts, environ

LIMIT = 3
ENDS = ["list", "parts", "written", "none", "raises first", "raises late"]


def app(environ: Environ, start_response: StartResponse) -> Any:
    """Do as the request says."""
    end, parts = environ["end"], environ["parts"]
    if end == "raises first":
        raise ValueError
    write = start_response(environ["status"], TEXT)
    if end == "list":
        return list(parts)
    if end == "written":
        for part in parts:
            write(part)
        return []
    return None if end == "none" else generated(parts, fails=end == "raises late")


def generated(parts: list[bytes], *, fails: bool) -> Iterator[bytes]:
    """Yield the parts, and then fail or not."""
    yield from parts
    if fails:
        raise ValueError


def ask(middleware: GuardMiddleware, request: Environ, *, read: int, closes: int) -> None:
    """Serve a request as a server that reads so many parts and closes so often."""
    with contextlib.suppress(ValueError, TypeError):
        body = middleware(request, lambda status, headers: lambda data: None)
        close: Callable[[], None] = getattr(body, "close", lambda: None)
        try:
            for number, _ in enumerate(body):
                if number >= read:
                    break
        finally:
            for _ in range(closes):
                close()


def guard() -> Guard:
    queue = AdmissionQueue(target=60.0, max_wait=60.0, min_length=10, max_length=10)
    return Guard(Limiter(FixedLimit(LIMIT), queue))


REQUESTS = st.lists(
    st.fixed_dictionaries(
        {
            "end": st.sampled_from(ENDS),
            "parts": st.lists(st.sampled_from([b"", b"a", b"bb"]), max_size=3),
            "status": st.sampled_from(["200 OK", "404 No", "503 Busy", "?"]),
            "read": st.integers(0, 4),
            "closes": st.integers(0, 2),
        }
    ),
    max_size=8,
)


@given(REQUESTS, st.integers(0, 2))
def test_every_permit_comes_back(requests: list[dict[str, Any]], most: int) -> None:
    """And every call is settled once."""
    middleware = GuardMiddleware(app, guard(), max_streams=most)
    for request in requests:
        how = {name: request[name] for name in ("end", "parts", "status")}
        ask(middleware, environ(**how), read=request["read"], closes=request["closes"])
        assert counts(middleware.guard) == (0, 0)
        assert middleware._streams.count == 0  # noqa: SLF001
    state = middleware.guard.snapshot()
    assert sum(state.settled.values()) == state.admitted == len(requests)


def client(middleware: GuardMiddleware, seed: int, calls: int) -> None:
    """Ask at random."""
    chance = Random(seed)
    for _ in range(calls):
        parts = [chance.choice([b"", b"a"]) for _ in range(chance.randrange(4))]
        request = environ(end=chance.choice(ENDS), parts=parts, status=chance.choice(["200 OK", "503 Busy"]))
        ask(middleware, request, read=chance.randrange(4), closes=chance.randrange(3))


def storm(calls: int) -> None:
    """Let eight threads ask at the same time; wait for the end of it."""
    middleware = GuardMiddleware(app, guard(), max_streams=2)
    threads = [threading.Thread(target=client, args=[middleware, seed, calls]) for seed in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300.0)
    finally:
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    assert counts(middleware.guard) == (0, 0)
    assert middleware._streams.count == 0  # noqa: SLF001
    state = middleware.guard.snapshot()
    assert sum(state.settled.values()) == state.admitted
    assert state.admitted + sum(state.refused.values()) == 8 * calls


@pytest.mark.race
def test_threads_lose_no_permit() -> None:
    storm(200)


@pytest.mark.race
@pytest.mark.slow
def test_threads_lose_no_permit_for_long() -> None:
    storm(20_000)
