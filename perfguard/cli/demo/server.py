"""A uvicorn of one worker in a process of its own, from which nothing is left when it is no longer needed."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perfguard.cli.demo.data import DATABASE
from perfguard.errors import ConfigurationError, PerfguardError

HOST = "127.0.0.1"

_START_TIMEOUT = 30.0
_POLL_INTERVAL = 0.02
_LOG_TAIL = 2_000


class ServerError(PerfguardError):
    """The server did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What to start.

    Args:
        app: The application factory, as uvicorn wants it: `module:function`.
        port: On the loopback interface.
        database: The file that the service reads.
        cpu: The core that the process is pinned to; none if it may use any.
    """

    app: str
    port: int
    database: Path
    cpu: int | None = None

    @property
    def command(self) -> list[str]:
        """The command line."""
        options = ["--factory", "--host", HOST, "--port", str(self.port), "--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", "uvicorn", *options, self.app]


@contextmanager
def running(plan: ServerPlan) -> Iterator[None]:
    """Keep a server for the length of the block.

    Raises:
        ServerError: It ended, or did not answer, before the block could start.
    """
    with tempfile.TemporaryFile() as log:
        environment = os.environ | {DATABASE: str(plan.database)}
        process = subprocess.Popen(plan.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        try:
            if plan.cpu is not None:
                os.sched_setaffinity(process.pid, {plan.cpu})
            if not _await_health(process, plan.port):
                log.seek(0)
                tail = log.read()[-_LOG_TAIL:].decode(errors="replace").strip()
                raise ServerError(f"the server did not start: {tail or 'no answer within 30 s'}")
            yield
        finally:
            # Not asked to end: with thousands of requests in its queues it would take its time.
            process.kill()
            process.wait()


def choose_port(wanted: int) -> int:
    """The wanted port, or for 0 one that is free.

    Raises:
        ConfigurationError: The wanted port is taken, or there is no such port.
    """
    with socket.socket() as probe:
        # As the server does, or else a port that was used a moment ago would seem taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise ConfigurationError("port", wanted, f"must be a free port ({error})") from error
        return int(probe.getsockname()[1])


def _await_health(process: subprocess.Popen[bytes], port: int) -> bool:
    give_up = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < give_up and process.poll() is None:
        if _is_healthy(port):
            return True
        time.sleep(_POLL_INTERVAL)
    return False


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
