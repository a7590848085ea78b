"""The application that real servers run in the tests: what it does is the path's to say.

`/hold` and what comes behind it is guarded with one permit, `/age` and `/burn` by default,
all else with two permits and one place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perfguard.context import current_admission
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue
from perfguard.wsgi import GuardMiddleware

holding = Guard(Limiter(FixedLimit(1), AdmissionQueue(target=60.0, max_wait=60.0)))
tight = Guard(Limiter(FixedLimit(2), AdmissionQueue(min_length=1, max_length=1)))
released = threading.Event()
served: list[str] = []


def reached(name: str) -> None:
    """Leave a file that the test waits for."""
    Path(name).touch()


def until(name: str) -> None:
    """Compute until the test has left a file."""
    while not Path(name).exists():
        pass


def endless() -> Iterator[bytes]:
    """Yield for ever, and say when it was closed."""
    try:
        while True:
            yield bytes(65536)
    finally:
        reached("closed")


def streamed() -> Iterator[bytes]:
    """Yield parts, in which it says how many requests are in flight."""
    for _ in range(3):
        yield f"{tight.snapshot().in_flight} ".encode()


def told() -> bytes:
    """The state of the guards."""
    parts = [tight.snapshot().in_flight, holding.snapshot().in_flight, holding.snapshot().queued, *served]
    return " ".join(map(str, parts)).encode()


def computed() -> bytes:
    """Compute between two files of the test."""
    reached("burning")
    until("burnt")
    return b"ok"


def work(path: str) -> bytes:
    """Do what a path says; return what is answered."""
    if path == "/slow":
        time.sleep(0.1)
    elif path == "/hold":
        released.wait()
    elif path == "/release":
        released.set()
    elif path == "/burn":
        return computed()
    elif path == "/age":
        admission = current_admission.get()
        return str(admission and admission.queue_time).encode()
    elif path in ("/gone", "/stays"):
        served.append(path)
    return told() if path == "/state" else b"ok"


def bare(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer."""
    path = environ["PATH_INFO"]
    if path in ("/endless", "/stream"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return endless() if path == "/endless" else streamed()
    if path == "/written":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"a")
        return [b"b"]
    if path == "/slow" and environ["QUERY_STRING"]:
        reached(f"started-{environ['QUERY_STRING']}")
    body = work(path)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


EXEMPT = ["/state", "/release", "/healthz"]
behind_one = GuardMiddleware(bare, holding, exempt=EXEMPT)
behind_two = GuardMiddleware(bare, tight, exempt=EXEMPT)
by_default = GuardMiddleware(bare)


def app(environ: dict[str, Any], start_response: Any) -> Any:
    """Choose the guard by the path."""
    path = environ["PATH_INFO"]
    if path in ("/hold", "/gone", "/stays"):
        return behind_one(environ, start_response)
    return (by_default if path in ("/age", "/burn") else behind_two)(environ, start_response)
