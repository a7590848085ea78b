"""Workers that are ended, recycled and killed under load: no request that was taken up is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from random import Random

import pytest

from tests.servers import PATIENCE, Load, Running, running, until
from tests.wsgi.serving import CONCURRENT, GUNICORN, SINGLE

WORKERS = {
    "sync": [],
    "gthread": ["-k", "gthread", "--threads", "8"],
    "gevent": ["-k", "gevent"],
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", WORKERS)
def test_a_server_that_is_asked_to_end_answers_what_it_took_up(kind: str, tmp_path: Path) -> None:
    """SIGTERM under load; what waits in the guard's queue is served or refused."""
    with running([*GUNICORN, *WORKERS[kind]], tmp_path) as server, Load(server, "/slow") as load:
        load.until(10)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
    assert load.lost() == set()


@pytest.mark.parametrize("kind", WORKERS)
def test_workers_that_are_recycled_lose_no_request(kind: str, tmp_path: Path) -> None:
    """None at all: those that a worker has not taken up wait for the next."""
    command = [*GUNICORN, *WORKERS[kind], "--workers", "2", "--max-requests", "15"]
    with running(command, tmp_path) as server:
        with Load(server, "/slow", 6) as load:
            load.until(100)
        assert load.lost() == set()
        assert set(load.answers.values()) <= {200, 503}


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_that_is_killed_takes_no_other_with_it(kind: str, tmp_path: Path) -> None:
    """SIGKILL under load: the other worker goes on, a new one comes, and nothing hangs."""
    command = [*GUNICORN, *WORKERS[kind], "--workers", "2"]
    with running(command, tmp_path) as server:
        with Load(server, "/slow") as load:
            load.until(10)
            os.kill(server.workers()[0], signal.SIGKILL)
            load.until(30)
        for _ in range(20):
            assert server.get("/stream") == (200, b"1 0 0 ")
        until(lambda: len(server.workers()) == 2, "a new worker has come")


def leave(server: Running, seed: int) -> None:
    """Be a client that asks for something, reads a little of it, and leaves at any time."""
    chance = Random(seed)
    pause = threading.Event()
    for _ in range(25):
        with server.ask(chance.choice(["/slow", "/endless", "/stream", "/written", "/"])) as client:
            client.settimeout(chance.choice([0.001, 0.02, 0.2]))
            with contextlib.suppress(OSError):
                client.recv(chance.choice([1, 100, 100_000]))
            pause.wait(chance.choice([0.0, 0.01]))


@pytest.mark.parametrize("name", [*CONCURRENT, "gunicorn sync"])
def test_clients_that_leave_at_any_time_leave_nothing_behind(name: str, tmp_path: Path) -> None:
    """No permit, no stream, no thread that waits for ever."""
    with running((CONCURRENT | SINGLE)[name], tmp_path) as server:
        clients = [threading.Thread(target=leave, args=[server, seed]) for seed in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60.0)
        server.until_state("0 0 0")
        assert server.get("/stream") == (200, b"1 0 0 ")
