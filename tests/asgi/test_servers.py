"""Real servers with the middleware in front of an application."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers import Running, running

APP = """
import asyncio
from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

app = GuardMiddleware(app, Guard(Limiter(FixedLimit(2), AdmissionQueue(min_length=1, max_length=1))))
"""

HOLDING = """
import asyncio
from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue

guard = Guard(Limiter(FixedLimit(1), AdmissionQueue(target=60.0, max_wait=60.0)))
released = None
served = []

async def app(scope, receive, send):
    global released
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    released = released or asyncio.Event()
    path = scope["path"]
    if path == "/hold":
        await released.wait()
    elif path == "/release":
        released.set()
    elif path not in ("/state", "/healthz"):
        served.append(path)
    state = guard.snapshot()
    body = f"{state.in_flight} {state.queued} {' '.join(served)}".strip().encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

app = GuardMiddleware(app, guard, exempt=["/state", "/release", "/healthz"])
"""

SERVERS = {
    "uvicorn uvloop httptools": ["uvicorn", "app:app", "--port", "{port}", "--loop", "uvloop", "--http", "httptools"],
    "uvicorn asyncio h11": ["uvicorn", "app:app", "--port", "{port}", "--loop", "asyncio", "--http", "h11"],
    "gunicorn asgi": ["gunicorn", "app:app", "-b", "127.0.0.1:{port}", "-k", "asgi"],
    "hypercorn": ["hypercorn", "app:app", "-b", "127.0.0.1:{port}"],
    "granian": ["granian", "app:app", "--interface", "asgi", "--port", "{port}"],
    "daphne": ["daphne", "app:app", "-b", "127.0.0.1", "-p", "{port}"],
}


@contextlib.contextmanager
def serving(name: str, folder: Path, app: str = APP) -> Iterator[Running]:
    """Run a server until the block ends."""
    (folder / "app.py").write_text(app)
    with running(["-m", *SERVERS[name]], folder) as server:
        yield server


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_serves_what_fits_and_refuses_the_rest(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as server, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.get(f"{server.url}/slow", timeout=10.0), range(12)))
        served = [each for each in answers if each.status_code == 200]
        refused = [each for each in answers if each.status_code == 503]
        assert len(served) + len(refused) == 12
        assert served
        assert refused
        assert all(1 <= int(each.headers["retry-after"]) <= 30 for each in refused)
        assert httpx.get(f"{server.url}/").text == "ok"


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_leaves_a_real_server_while_queued_is_not_served(name: str, tmp_path: Path) -> None:
    """Whether the server shows the connection or has to be asked."""
    with serving(name, tmp_path, HOLDING) as server, contextlib.ExitStack() as held:
        held.enter_context(server.ask("/hold"))
        server.until_state("1 0")
        leaving = server.ask("/gone")
        server.until_state("1 1")
        held.enter_context(server.ask("/stays"))
        server.until_state("1 2")

        leaving.close()
        for _ in range(50):  # The server reads the network in between.
            server.until_state("1 2")
        server.get("/release")

        server.until_state("0 0 /stays")
