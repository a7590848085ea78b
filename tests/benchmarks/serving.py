"""Servers that are measured: each in a process of its own, on a core of its own, with its processor time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perfguard.cli.machine import Cores
from perfguard.errors import PerfguardError

ROOT = Path(__file__).parents[2]
CORES = Cores.share_out()

_UVICORN = ("uvicorn", "{app}", "--port", "{port}", "--no-access-log", "--log-level", "error")
UVLOOP = (*_UVICORN, "--loop", "uvloop", "--http", "httptools")
H11 = (*_UVICORN, "--loop", "asyncio", "--http", "h11")
HYPERCORN = ("hypercorn", "{app}", "-b", "127.0.0.1:{port}", "--error-logfile", "/dev/null")
GRANIAN = ("granian", "{app}", "--interface", "asgi", "--port", "{port}", "--no-log")
_GUNICORN = ("gunicorn", "{app}", "-b", "127.0.0.1:{port}", "--log-level", "error")
SYNC = (*_GUNICORN, "-k", "sync")
GTHREAD = (*_GUNICORN, "-k", "gthread", "--threads", "8")

_START_TIMEOUT = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(PerfguardError):
    """The server did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is served, and by what.

    Args:
        server: The command, as arguments of `python -m`.
        app: One of the applications in `module`.
        module: Where the application is defined.
        work: Seconds that a request computes.
        wait: Seconds for which it then sleeps.
        share: Of the requests that are served, where the others are turned away.
        turned_away: The path of those that may be turned away; empty for any.
        halve_after: Seconds from the first request to the halving of the pool; 0 for never.
    """

    server: tuple[str, ...]
    app: str
    module: str = "apps"
    work: float = 0.0
    wait: float = 0.0
    share: float = 1.0
    turned_away: str = ""
    halve_after: float = 0.0

    def command(self, port: int, extra: tuple[str, ...]) -> list[str]:
        """The command line."""
        app = f"tests.benchmarks.{self.module}:app"
        return [sys.executable, "-m", *(part.format(app=app, port=port) for part in self.server), *extra]

    def environment(self, protection: str) -> dict[str, str]:
        """The variables that the applications read."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "integrations"), os.environ.get("PYTHONPATH", "")])
        return {
            **os.environ,
            "PYTHONPATH": path,
            "APP": self.app,
            "PROTECTION": protection,
            "WORK": str(self.work),
            "WAIT": str(self.wait),
            "SHARE": str(self.share),
            "TURNED_AWAY": self.turned_away,
            "HALVE_AFTER": str(self.halve_after),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs.

    Args:
        url: Its address, without a path.
        group: Its process group.
    """

    url: str
    group: int

    def cpu(self) -> float:
        """Processor time of all its processes until now, in seconds; 0 where the system does not tell."""
        return sum(_cpu_of(entry, self.group) for entry in Path("/proc").glob("[0-9]*/stat"))


@contextlib.contextmanager
def serving(service: Service, protection: str) -> Iterator[Server]:
    """Keep a server for the length of the block.

    Raises:
        ServerError: It does not listen.
    """
    extra: tuple[str, ...] = ()
    if protection.startswith("uvicorn "):
        extra, protection = tuple(protection.split()[1:]), "none"
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            service.command(port, extra),
            cwd=ROOT,
            env=service.environment(protection),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if CORES.server is not None:
                os.sched_setaffinity(process.pid, {CORES.server})
            _await_port(process, port, log)
            yield Server(url=f"http://127.0.0.1:{port}", group=process.pid)
        finally:
            # Not asked to end: with thousands of requests in its queues it would take its time.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this process on one core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _await_port(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    until = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            time.sleep(0.3)
            return
        time.sleep(0.05)
    log.seek(0)
    raise ServerError(f"the server did not start: {log.read()[-2000:].decode(errors='replace')}")


def _cpu_of(stat: Path, group: int) -> float:
    """Fields 5, 14 and 15 of proc(5) are the process group and the ticks in user and kernel mode."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS if int(fields[2]) == group else 0.0
