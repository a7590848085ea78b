"""Workers that are ended, recycled and killed under load: no request that was taken up is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Self

import pytest

from tests.wsgi.serving import CONCURRENT, GUNICORN, PATIENCE, SINGLE, Running, serving

WORKERS = {
    "sync": [],
    "gthread": ["-k", "gthread", "--threads", "8"],
    "gevent": ["-k", "gevent"],
}

pytestmark = pytest.mark.slow


class Load:
    """Threads that ask without pause, each request under a name of its own.

    Attributes:
        answers: The status of each request that ended, by its name; 0 for one without an answer.
    """

    def __init__(self, server: Running, threads: int = 12) -> None:
        self.answers: dict[str, int] = {}
        self._server = server
        self._names: Iterator[int] = count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)

    def until(self, more: int) -> None:
        """Wait until so many more requests were served."""
        pause = threading.Event()
        goal = self.served() + more
        for _ in range(int(PATIENCE / 0.01)):
            if self.served() >= goal:
                return
            pause.wait(0.01)
        raise AssertionError(self.answers)

    def served(self) -> int:
        """How many requests were served."""
        return list(self.answers.values()).count(200)

    def lost(self) -> set[str]:
        """Requests that the application took up and nobody got the answer of."""
        taken_up = {path.name.partition("-")[2] for path in self._server.folder.glob("started-*")}
        return {name for name in taken_up if self.answers[name] != 200}

    def _ask(self) -> None:
        while not self._over.is_set():
            name = str(next(self._names))
            self.answers[name] = self._server.get(f"/slow?{name}")[0]


@pytest.mark.parametrize("kind", WORKERS)
def test_a_server_that_is_asked_to_end_answers_what_it_took_up(kind: str, tmp_path: Path) -> None:
    """SIGTERM under load; what waits in the guard's queue is served or refused."""
    with serving([*GUNICORN, *WORKERS[kind]], tmp_path) as server, Load(server) as load:
        load.until(10)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
    assert load.lost() == set()


@pytest.mark.parametrize("kind", WORKERS)
def test_workers_that_are_recycled_lose_no_request(kind: str, tmp_path: Path) -> None:
    """None at all: those that a worker has not taken up wait for the next."""
    command = [*GUNICORN, *WORKERS[kind], "--workers", "2", "--max-requests", "15"]
    with serving(command, tmp_path) as server:
        with Load(server, 6) as load:
            load.until(100)
        assert load.lost() == set()
        assert set(load.answers.values()) <= {200, 503}


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_that_is_killed_takes_no_other_with_it(kind: str, tmp_path: Path) -> None:
    """SIGKILL under load: the other worker goes on, a new one comes, and nothing hangs."""
    command = [*GUNICORN, *WORKERS[kind], "--workers", "2"]
    with serving(command, tmp_path) as server:
        with Load(server) as load:
            load.until(10)
            os.kill(workers(server)[0], signal.SIGKILL)
            load.until(30)
        for _ in range(20):
            assert server.get("/stream") == (200, b"1 0 0 ")
        assert len(workers(server)) == 2


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
    with serving((CONCURRENT | SINGLE)[name], tmp_path) as server:
        clients = [threading.Thread(target=leave, args=[server, seed]) for seed in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60.0)
        server.until_state("0 0 0")
        assert server.get("/stream") == (200, b"1 0 0 ")


def workers(server: Running) -> list[int]:
    """The processes of the workers."""
    master = server.process.pid
    return [int(each) for each in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
