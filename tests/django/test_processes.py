"""Workers of Django that are ended and killed under load: no request that was taken up is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.django.serving import GTHREAD, SYNC, UVICORN, serving, until_shown
from tests.servers import PATIENCE, Load, until

SERVERS = {
    "gunicorn sync": ([*SYNC, "app:wsgi"], "/slow/"),
    "gunicorn gthread": ([*GTHREAD, "app:wsgi"], "/slow/"),
    "gunicorn gthread, loaded before the fork": ([*GTHREAD, "--preload", "app:wsgi"], "/slow/"),
    "gunicorn gthread, around": ([*GTHREAD, "app:around_wsgi"], "/slow/"),
    "uvicorn": ([*UVICORN, "app:asgi"], "/slow/"),
    "uvicorn, asynchronous": ([*UVICORN, "app:asgi"], "/slow-async/"),
    "uvicorn, around": ([*UVICORN, "app:around_asgi"], "/slow-async/"),
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_is_asked_to_end_answers_what_it_took_up(name: str, tmp_path: Path) -> None:
    """SIGTERM under load; what waits in the guard's queue is served or refused."""
    command, path = SERVERS[name]
    with serving(command, tmp_path, GUARD="app.guard") as server, Load(server, path) as load:
        load.until(10)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(PATIENCE)
    assert load.lost() == set()


@pytest.mark.parametrize("name", SERVERS)
def test_a_worker_that_is_killed_takes_no_other_with_it(name: str, tmp_path: Path) -> None:
    """SIGKILL under load: the other worker goes on, a new one comes, and nothing hangs."""
    command, path = SERVERS[name]
    with serving([*command, "--workers", "2"], tmp_path, GUARD="app.guard") as server:
        with Load(server, path) as load:
            load.until(10)
            os.kill(server.workers()[0], signal.SIGKILL)
            load.until(30)
        until(lambda: len(server.workers()) == 2, "a new worker has come")
        until_shown(server, in_flight=0, queued=0)
