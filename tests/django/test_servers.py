"""Real servers with a Django project behind them."""

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
from typing import Any

import httpx
import pytest

SETTINGS = """
from tests.django.project_settings import *

PERFGUARD = {setting}
"""
APP = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "app_settings"

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

import perfguard_django.asgi
import perfguard_django.wsgi
from perfguard import AdmissionQueue, Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit

guard = Guard(KeyedLimiter(
    lambda key: Limiter(FixedLimit(1), AdmissionQueue(target=60.0, max_wait=60.0, min_length=2, max_length=2), key=key)
))
wsgi = get_wsgi_application()
asgi = get_asgi_application()
around_wsgi = perfguard_django.wsgi.GuardMiddleware(wsgi)
around_asgi = perfguard_django.asgi.GuardMiddleware(asgi)
"""
GTHREAD = ["gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "8"]
UVICORN = ["uvicorn", "--port", "{port}"]
CONCURRENT = {
    "gunicorn gthread": [*GTHREAD, "app:wsgi"],
    "gunicorn gthread, loaded before the fork": [*GTHREAD, "--preload", "app:wsgi"],
    "gunicorn gthread, around": [*GTHREAD, "app:around_wsgi"],
    "uvicorn": [*UVICORN, "app:asgi"],
    "uvicorn, around": [*UVICORN, "app:around_asgi"],
    "daphne": ["daphne", "-p", "{port}", "app:asgi"],
    "daphne, around": ["daphne", "-p", "{port}", "app:around_asgi"],
}
SYNC = ["gunicorn", "-b", "127.0.0.1:{port}", "-k", "sync"]
SERVERS = {"gunicorn sync": [*SYNC, "app:wsgi"], **CONCURRENT}


@contextlib.contextmanager
def serving(command: list[str], folder: Path, **setting: Any) -> Iterator[str]:
    """Run a server until the block ends; its address."""
    (folder / "app.py").write_text(APP)
    (folder / "app_settings.py").write_text(SETTINGS.format(setting=setting))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = [str(folder), *sys.path]
    process = subprocess.Popen(
        [sys.executable, "-m", *(part.format(port=port) for part in command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30.0
    while True:
        try:
            httpx.get(f"{url}/healthz/")
        except httpx.TransportError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _until(url: str, **expected: Any) -> None:
    """Wait until the snapshot says so."""
    deadline = time.monotonic() + 20.0
    while True:
        state = httpx.get(f"{url}/perfguard/").json()
        if {name: state[name] for name in expected} == expected:
            return
        assert time.monotonic() < deadline, state


def _send(url: str, path: str) -> socket.socket:
    """Send a request without a body; its connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    client = socket.create_connection((host, int(port)), 10.0)
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_answers_in_each_way(name: str, tmp_path: Path) -> None:
    """Plain, streamed, a file, an error, without a body."""
    with serving(SERVERS[name], tmp_path) as url:
        assert httpx.get(f"{url}/plain/").text == "plain"
        assert httpx.get(f"{url}/plain-async/").text == "plain async"
        assert httpx.get(f"{url}/stream/").text == "one two three"
        assert httpx.get(f"{url}/stream-async/").text == "one two three"
        assert httpx.get(f"{url}/file/").content == b"x" * 10_000
        assert httpx.get(f"{url}/boom/").status_code == 500
        head = httpx.head(f"{url}/file/")
        assert (head.content, head.headers["content-length"]) == (b"", "10000")
        assert httpx.get(f"{url}/perfguard/").json()["in_flight"] == 0


@pytest.mark.parametrize(
    ("name", "path"),
    [*((name, "/hold/") for name in CONCURRENT), ("uvicorn", "/hold-async/"), ("daphne", "/hold-async/")],
)
def test_a_real_server_serves_what_fits_and_refuses_the_rest(name: str, path: str, tmp_path: Path) -> None:
    """One in flight, two queued, the others refused at once; another route is served."""
    with serving(CONCURRENT[name], tmp_path, GUARD="app.guard") as url, ThreadPoolExecutor(3) as pool:
        kept = [pool.submit(httpx.get, f"{url}{path}", timeout=30.0) for _ in range(3)]
        _until(url, in_flight=1, queued=2)
        refused = [httpx.get(f"{url}{path}") for _ in range(3)]
        beside = httpx.get(f"{url}/plain/")
        httpx.get(f"{url}/release/")
        answers = [each.result() for each in kept]

        assert [each.status_code for each in answers] == [200, 200, 200]
        assert [each.status_code for each in refused] == [503, 503, 503]
        assert all(1 <= int(each.headers["retry-after"]) <= 30 for each in refused)
        assert beside.status_code == 200
        _until(url, in_flight=0, queued=0)


@pytest.mark.parametrize("name", ["gunicorn gthread", "uvicorn", "uvicorn, around", "daphne"])
def test_a_client_that_leaves_while_queued_is_not_served(name: str, tmp_path: Path) -> None:
    """Django cancels its task, or the socket tells."""
    with serving(CONCURRENT[name], tmp_path, GUARD="app.guard") as url, contextlib.ExitStack() as held:
        held.enter_context(_send(url, "/hold/?name=first"))
        _until(url, in_flight=1, queued=0)
        leaving = _send(url, "/hold/?name=leaving")
        _until(url, in_flight=1, queued=1)
        held.enter_context(_send(url, "/hold/?name=staying"))
        _until(url, in_flight=1, queued=2)

        leaving.close()
        for _ in range(20):  # The server reads the network in between.
            httpx.get(f"{url}/report/")
        httpx.get(f"{url}/release/")
        _until(url, in_flight=0, queued=0)

        assert httpx.get(f"{url}/report/").text == "first staying"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gunicorn sync", "/endless/"),
        ("gunicorn gthread", "/endless/"),
        ("gunicorn gthread, around", "/endless/"),
        ("uvicorn", "/endless-async/"),
        ("uvicorn, around", "/endless-async/"),
        ("daphne", "/endless-async/"),
    ],
)
def test_a_client_that_leaves_in_mid_response_leaks_nothing(name: str, path: str, tmp_path: Path) -> None:
    """Also where the stream kept its permit, over the cap."""
    with serving(SERVERS[name], tmp_path, MAX_STREAMS=0) as url:
        for _ in range(3):
            with _send(url, path) as client:
                assert client.recv(10)

        _until(url, in_flight=0)
        assert httpx.get(f"{url}/plain/").text == "plain"


@pytest.mark.parametrize("name", ["gunicorn sync", "gunicorn sync, around"])
def test_the_kernel_tells_how_long_a_request_stood_before_a_single_thread(name: str, tmp_path: Path) -> None:
    """It came while another was served: nobody waits for it any more."""
    app = "app:around_wsgi" if "around" in name else "app:wsgi"
    with serving([*SYNC, app], tmp_path, TIMEOUT=0.2) as url, _send(url, "/signalled/") as first:
        deadline = time.monotonic() + 20.0
        while not (tmp_path / "running").exists():
            assert time.monotonic() < deadline
        with _send(url, "/plain/") as second:
            (tmp_path / "go on").touch()

            assert first.recv(12) == b"HTTP/1.1 200"
            assert second.recv(12) == b"HTTP/1.1 503"
