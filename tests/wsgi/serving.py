"""Real WSGI servers for the tests, and clients that speak to them by sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = "tests.wsgi.guarded_app:app"
GUNICORN = ["-m", "gunicorn", APP, "-b", "127.0.0.1:{port}"]
WAITRESS = ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=8", "--channel-request-lookahead=5", APP]
WERKZEUG = """
from werkzeug.serving import run_simple
from tests.wsgi.guarded_app import app
run_simple("127.0.0.1", {port}, app, threaded={threaded})
"""

CONCURRENT = {
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "8"],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent"],
    "waitress": WAITRESS,
    "werkzeug": ["-c", WERKZEUG.replace("{threaded}", "True")],
}
SINGLE = {
    "gunicorn sync": GUNICORN,
    "gunicorn gthread 1": [*GUNICORN, "-k", "gthread", "--threads", "1"],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent"],
    "gunicorn gevent_pywsgi": [*GUNICORN, "-k", "gevent_pywsgi"],
    "werkzeug 1": ["-c", WERKZEUG.replace("{threaded}", "False")],
}
PATIENCE = 20.0


class Running:
    """A server that runs.

    Attributes:
        process: Its process, or that of its master.
        port: Where it listens.
        folder: Where its application leaves files.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    def ask(self, path: str) -> socket.socket:
        """Send a request; its connection."""
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        return client

    def get(self, path: str) -> tuple[int, bytes]:
        """Send a request; its status and its body, chunks joined. The status is 0 without an answer."""
        try:
            with self.ask(path) as client:
                return parsed(read_all(client))
        except OSError:
            return 0, b""

    def until_state(self, state: str) -> None:
        """Wait until the guards are in a state."""
        deadline = time.monotonic() + PATIENCE
        while (seen := self.get("/state")[1].decode()) != state:
            assert time.monotonic() < deadline, seen

    def until_file(self, name: str) -> None:
        """Wait until the application has left a file."""
        deadline = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, name
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


@contextlib.contextmanager
def serving(command: list[str], folder: Path) -> Iterator[Running]:
    """Run a server until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *(part.replace("{port}", str(port)) for part in command)],
        cwd=ROOT,
        env={**os.environ, "TEST_FOLDER": str(folder), "PYTHONPATH": f"{ROOT}:{ROOT / 'integrations'}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    running = Running(process, port, folder)
    try:
        _until_up(running)
        yield running
    finally:
        stop(process)


def _until_up(running: Running) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while running.get("/healthz")[0] != 200:
        assert time.monotonic() < deadline
        assert running.process.poll() is None
        pause.wait(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, and end it."""
    process.send_signal(signal.SIGINT if process.poll() is None else 0)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
