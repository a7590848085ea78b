"""Real servers in processes of their own, and clients that speak to them by sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20.0


class Running:
    """A server that runs.

    Attributes:
        process: Its process, or that of its master.
        port: Where it listens.
        folder: Where it runs, and its application leaves files.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, connection: str = "close") -> socket.socket:
        """Send a request; its connection, which the server closes unless it is told to keep it alive."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: {connection}\r\n\r\n".encode())
        return client

    def get(self, path: str) -> tuple[int, bytes]:
        """Send a request; its status and its body, chunks joined. The status is 0 without an answer."""
        try:
            with self.ask(path) as client:
                return parsed(read_all(client))
        except OSError:
            return 0, b""

    def until_up(self, patience: float = PATIENCE) -> None:
        """Wait until it answers."""
        until(lambda: self.process.poll() is not None or self.get("/healthz")[0] > 0, "it answers", patience)
        assert self.process.poll() is None

    def until_state(self, state: str) -> None:
        """Wait until the application says that its guards are in a state."""
        until(lambda: self.get("/state")[1].decode() == state, state)

    def until_file(self, name: str) -> None:
        """Wait until the application has left a file."""
        until((self.folder / name).exists, name)

    def workers(self) -> list[int]:
        """The processes of the workers, where the server has a master."""
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        # What has ended has no command line, and multiprocessing has a process of its own beside the workers.
        told = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
        return [process for process, line in told.items() if line and b"resource_tracker" not in line]


class Load:
    """Threads that ask without pause, each request under a name of its own, which is its query.

    Args:
        server: Whom to ask.
        path: What to ask for; the application leaves a file `started-<name>` when it takes a request up.
        threads: How many ask.

    Attributes:
        answers: The status of each request that ended, by its name; 0 for one without an answer.
    """

    def __init__(self, server: Running, path: str, threads: int = 12) -> None:
        self.answers: dict[str, int] = {}
        self._server = server
        self._path = path
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
        goal = self.served() + more
        until(lambda: self.served() >= goal, f"{goal} are served")

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
            self.answers[name] = self._server.get(f"{self._path}?{name}")[0]


def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until something holds, for so many seconds."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what
        pause.wait(0.005)


def read_all(client: socket.socket) -> bytes:
    """Read to the end."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def parsed(answer: bytes) -> tuple[int, bytes]:
    """The status and the body of an answer; 0 where it is cut."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return 0, b""
    fields = head.lower()
    if b"transfer-encoding: chunked" in fields:
        parts = body.split(b"\r\n")
        body, complete = b"".join(parts[1::2]), body.endswith(b"0\r\n\r\n")
    elif b"content-length: " in fields:
        complete = len(body) == int(fields.partition(b"content-length: ")[2].split()[0])
    else:
        complete = True
    return (int(head.split()[1]), body) if complete else (0, body)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def running(command: list[str], folder: Path) -> contextlib.AbstractContextManager[Running]:
    """Run a server in Python in a folder until the block ends; `{port}` in its command stands for its port."""
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "integrations")))
    return launched([sys.executable, *command], folder, {"PYTHONPATH": path})


@contextlib.contextmanager
def launched(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    *,
    port: int | None = None,
    patience: float = PATIENCE,
) -> Iterator[Running]:
    """Run any server in a folder until the block ends; `{port}` in its command stands for its port.

    It may take so many seconds to start.
    """
    port = free_port() if port is None else port
    process = subprocess.Popen(
        [part.replace("{port}", str(port)) for part in command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    server = Running(process, port, folder)
    try:
        server.until_up(patience)
        yield server
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, and end it."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
