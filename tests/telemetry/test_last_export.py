"""What the workers of real servers have recorded arrives, though they end before its time."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.servers import PATIENCE, running
from tests.telemetry.receiver import Receiver

pytestmark = pytest.mark.slow

WSGI = """
import os
from perfguard.telemetry import configure
from perfguard.wsgi import GuardMiddleware
configure("shop")
def bare(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
app = GuardMiddleware(bare)
"""

ASGI = """
import os
from fastapi import FastAPI
from perfguard.telemetry import configure
from perfguard_fastapi import GuardMiddleware
configure("shop")
app = FastAPI()
app.add_middleware(GuardMiddleware)
@app.get("/")
async def root() -> int:
    return os.getpid()
"""

GUNICORN = ["-m", "gunicorn", "app:app", "-b", "127.0.0.1:{port}", "--workers", "2"]
SERVERS = {
    "gunicorn sync": (WSGI, GUNICORN),
    "gunicorn sync, preloaded": (WSGI, [*GUNICORN, "--preload"]),
    "gunicorn gthread, preloaded": (WSGI, [*GUNICORN, "--preload", "-k", "gthread", "--threads", "4"]),
    "gunicorn gevent": (WSGI, [*GUNICORN, "-k", "gevent"]),
    "gunicorn gevent, preloaded": (WSGI, [*GUNICORN, "--preload", "-k", "gevent"]),
    "uvicorn": (ASGI, ["-m", "uvicorn", "app:app", "--port", "{port}", "--workers", "2"]),
    "hypercorn": (ASGI, ["-m", "hypercorn", "app:app", "-b", "127.0.0.1:{port}", "--workers", "2"]),
    "granian": (ASGI, ["-m", "granian", "--interface", "asgi", "app:app", "--port", "{port}", "--workers", "2"]),
}


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker_exports_every_request(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, command = SERVERS[name]
    (tmp_path / "app.py").write_text(source)
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        with running(command, tmp_path) as server:
            workers: set[bytes] = set()
            asked = 0
            while len(workers) < 2 and asked < 500:
                workers.add(server.get("/")[1])
                asked += 1
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(PATIENCE)
        # Besides those for the path there are the requests by which the test saw that the server is up.
        assert [got.attributes.get("url.path") for got in receiver.spans].count("/") == asked
        assert len(workers) == 2
        assert len(receiver.resources("service.instance.id")) == 2
        assert receiver.resources("service.name") == {"shop"}
