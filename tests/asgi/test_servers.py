"""Real servers with the middleware in front of an application."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

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
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(command: list[str], folder: Path, app: str = APP) -> Iterator[str]:
    """Run a server until the block ends; its address."""
    (folder / "app.py").write_text(app)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_serves_what_fits_and_refuses_the_rest(name: str, tmp_path: Path) -> None:
    with serving(SERVERS[name], tmp_path) as url, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.get(f"{url}/slow", timeout=10.0), range(12)))
        served = [each for each in answers if each.status_code == 200]
        refused = [each for each in answers if each.status_code == 503]
        assert len(served) + len(refused) == 12
        assert served
        assert refused
        assert all(1 <= int(each.headers["retry-after"]) <= 30 for each in refused)
        assert httpx.get(f"{url}/").text == "ok"


def ask(url: str, path: str) -> socket.socket:
    """Send a request without a body; its connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    client = socket.create_connection((host, int(port)), 10.0)
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
    return client


def wait_for(url: str, state: str) -> None:
    """Wait until so many requests are in flight and queued, and those paths were served."""
    deadline = time.monotonic() + 20.0
    while (now := httpx.get(f"{url}/state").text) != state:
        assert time.monotonic() < deadline, now


@pytest.mark.parametrize("name", SERVERS)
def test_a_client_that_leaves_a_real_server_while_queued_is_not_served(name: str, tmp_path: Path) -> None:
    """Whether the server shows the connection or has to be asked."""
    with serving(SERVERS[name], tmp_path, HOLDING) as url, contextlib.ExitStack() as held:
        held.enter_context(ask(url, "/hold"))
        wait_for(url, "1 0")
        leaving = ask(url, "/gone")
        wait_for(url, "1 1")
        held.enter_context(ask(url, "/stays"))
        wait_for(url, "1 2")

        leaving.close()
        for _ in range(50):  # The server reads the network in between.
            wait_for(url, "1 2")
        httpx.get(f"{url}/release")

        wait_for(url, "0 0 /stays")
