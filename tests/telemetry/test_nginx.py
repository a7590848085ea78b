"""Real nginx stamps requests in front of a real server; with time in its own queue, and with a clock that is ahead."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Running, free_port, launched, running
from tests.telemetry.peers import folder_for, peer

pytestmark = pytest.mark.slow

COMMON = """
import json, time
from perfguard.events import Admitted
from perfguard.guard import Guard
from perfguard.testing import RecordingListener

listener = RecordingListener()

def told(held):
    told = {
        "queue_time": [event.queue_time for event in listener.of(Admitted)],
        "held": held,
        "offsets": app._proxy_clock.offsets(time.time()),
        "rejected": app._proxy_clock.rejected,
    }
    return json.dumps(told).encode()

def guarded(middleware):
    return middleware(serve, Guard(listeners=[listener]), exempt=["/healthz"], trusted_proxies=TRUSTED)
"""

ASGI = """
from perfguard.asgi import GuardMiddleware

async def serve(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told(float(dict(scope["headers"]).get(b"x-held", 0)))})

app = guarded(GuardMiddleware)
"""

WSGI = """
from perfguard.wsgi import GuardMiddleware

def serve(environ, start_response):
    start_response("200 OK", [])
    return [told(float(environ.get("HTTP_X_HELD", 0)))]

app = guarded(GuardMiddleware)
"""

SERVERS = {
    "uvicorn": (ASGI, ["-m", "uvicorn", "app:app", "--port", "{port}"]),
    "gunicorn": (WSGI, ["-m", "gunicorn", "app:app", "-b", "127.0.0.1:{port}"]),
}

# One request passes at once, and each of the next waits half a second more than the one before it.
NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    limit_req_zone $server_name zone=queue:1m rate=120r/m;
    server {{
        listen 127.0.0.1:{port};
        server_name shop;
        set $arrived $msec;
        location / {{
            proxy_set_header X-Request-Start "t=${{msec}}";
            proxy_pass http://127.0.0.1:{upstream};
        }}
        location /queued {{
            limit_req zone=queue burst=10;
            proxy_set_header X-Request-Start "t=$arrived";
            proxy_set_header X-Held $request_time;
            proxy_pass http://127.0.0.1:{upstream};
        }}
    }}
}}
"""

# nginx tells the time in whole milliseconds, and reads it once for each turn of its loop.
ROUNDED = 0.005


@contextlib.contextmanager
def proxied(
    tmp_path: Path, trusted: list[str], environment: dict[str, str] | None = None, name: str = "uvicorn"
) -> Iterator[Running]:
    """Nginx in front of a server."""
    program, folder = peer("nginx"), folder_for("app", tmp_path)
    app, command = SERVERS[name]
    (folder / "app.py").write_text(COMMON.replace("TRUSTED", repr(trusted)) + app)
    with running(command, folder) as server:
        front, port = folder_for("nginx", tmp_path), free_port()
        (front / "nginx.conf").write_text(NGINX.format(port=port, upstream=server.port))
        with launched([program, "-p", str(front), "-c", "nginx.conf"], front, environment or {}, port=port) as nginx:
            yield nginx


def told(nginx: Running, path: str) -> dict[str, Any]:
    """What the application says of its request, and how long its client waited."""
    start = time.monotonic()
    status, body = nginx.get(path)
    assert status == 200
    answer = json.loads(body)
    return {**answer, "queue_time": answer["queue_time"][-1], "waited": time.monotonic() - start}


@pytest.mark.parametrize("name", SERVERS)
def test_the_time_in_nginx_is_queue_time(tmp_path: Path, name: str) -> None:
    """As much as nginx itself says, and no more than the client waited."""
    with proxied(tmp_path, ["127.0.0.1"], name=name) as nginx:
        told(nginx, "/queued")
        answer = told(nginx, "/queued")
    assert answer["held"] > 0.1
    assert answer["held"] - ROUNDED <= answer["queue_time"] <= answer["waited"] + ROUNDED
    assert answer["rejected"] == {}


def test_a_stamp_at_the_hand_over_measures_the_hand_over(tmp_path: Path) -> None:
    """`t=${msec}`, as it stands in the documents."""
    with proxied(tmp_path, ["127.0.0.1"]) as nginx:
        answer = told(nginx, "/")
    assert 0.0 <= answer["queue_time"] <= answer["waited"] + ROUNDED
    assert answer["rejected"] == {}
    assert -ROUNDED <= answer["offsets"]["127.0.0.1"] <= answer["waited"] + ROUNDED


def test_without_trust_nginx_is_not_believed(tmp_path: Path) -> None:
    """Nor is it counted."""
    with proxied(tmp_path, []) as nginx:
        told(nginx, "/queued")
        answer = told(nginx, "/queued")
    assert answer["queue_time"] < answer["held"]
    assert (answer["offsets"], answer["rejected"]) == ({}, {})


def test_an_nginx_whose_clock_is_ahead_is_corrected(tmp_path: Path) -> None:
    """By three seconds; once that is proven, what it holds back is seen."""
    ahead = {"LD_PRELOAD": peer("libfaketime"), "FAKETIME": "+3s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with proxied(tmp_path, ["127.0.0.1"], ahead) as nginx:
        first = [told(nginx, "/") for _ in range(12)]
        least = min(each["waited"] for each in first)
        told(nginx, "/queued")
        answer = told(nginx, "/queued")
    assert answer["rejected"] == {"future": 9}
    assert -3.0 - ROUNDED <= first[-1]["offsets"]["127.0.0.1"] <= -3.0 + least + ROUNDED
    assert answer["held"] > 0.1
    assert answer["held"] - least - ROUNDED <= answer["queue_time"] <= answer["waited"] + ROUNDED
