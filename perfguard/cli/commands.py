"""The commands of `perfguard`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from perfguard.cli import options
from perfguard.cli.demo.command import execute_demo
from perfguard.cli.demo.scenario import FULL, QUICK
from perfguard.cli.durations import parse_duration
from perfguard.cli.load import Arrivals, CapacityPlan, Connections, LoadPlan, Phase, Target
from perfguard.cli.load_command import execute_capacity, execute_load
from perfguard.cli.outputs import Outputs
from perfguard.errors import ConfigurationError, PerfguardError

FAILED = 1
USAGE = 2
INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def root() -> None:
    """Overload protection for Python web services."""


@app.command()
def load(
    url: options.Url,
    *,
    rate: options.Rate = 100.0,
    duration: options.Duration = "10s",
    deadline: options.Deadline = "1s",
    timeout: options.Timeout = "",
    arrivals: options.Spread = Arrivals.POISSON,
    connections: options.Transport = Connections.KEEP_ALIVE,
    max_connections: options.MaxConnections = 8192,
    method: options.Method = "GET",
    header: options.Header = None,
    body: options.Body = "",
    seed: options.Seed = 0,
    cpu: options.Cpu = None,
    allow_remote: options.AllowRemote = False,
    json: options.Json = None,
    html: options.Html = None,
) -> None:
    """Offer a load to a server, at a rate that holds whatever the server does, and report what its clients saw.

    Every request's instant is fixed before the run, and its latency counts from that instant:
    a server that stalls cannot slow the arrivals down, and thereby hide its stalls (coordinated omission).
    """
    with reported_errors():
        phase = Phase(rate=rate, duration=parse_duration(duration, "duration"))
        target = Target(url=url, phases=(phase,), method=method.upper(), headers=_headers(header), body=body.encode())
        plan = LoadPlan(
            targets=(target,),
            deadline=parse_duration(deadline, "deadline"),
            timeout=parse_duration(timeout, "timeout") if timeout else None,
            arrivals=arrivals,
            connections=connections,
            max_connections=max_connections,
            seed=seed,
            allow_remote=allow_remote,
        )
        execute_load(plan, Outputs(json=json, html=html), cpu=cpu)


@app.command()
def capacity(
    url: options.Url,
    *,
    users: options.Users = 16,
    duration: options.Duration = "5s",
    connections: options.Transport = Connections.KEEP_ALIVE,
    method: options.Method = "GET",
    header: options.Header = None,
    body: options.Body = "",
    cpu: options.Cpu = None,
    allow_remote: options.AllowRemote = False,
    json: options.Json = None,
) -> None:
    """Measure how many requests per second a server can serve, with users who each await their answer."""
    with reported_errors():
        plan = CapacityPlan(
            targets=(Target(url=url, method=method.upper(), headers=_headers(header), body=body.encode()),),
            users=users,
            duration=parse_duration(duration, "duration"),
            connections=connections,
            allow_remote=allow_remote,
        )
        execute_capacity(plan, Outputs(json=json), cpu=cpu)


@app.command()
def demo(
    *,
    quick: options.Quick = False,
    port: options.Port = 0,
    json: options.Json = None,
    html: options.Html = Path("perfguard-demo.html"),
) -> None:
    """Show a FastAPI service at 0.5, 1.5, 4 and 8 times its capacity, without the guard and with it.

    Takes less than 90 seconds. Exits with 1 if the guard did not help.
    """
    with reported_errors():
        scenario = QUICK if quick else FULL
        if not execute_demo(scenario, Outputs(json=json, html=html), port=port):
            _fail("The guard did not help.", FAILED)


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors into a sentence and an exit status: 2 for a wrong argument, 1 for a failure, 130 for Ctrl-C."""
    handlers = {number: signal.signal(number, _terminate) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except ConfigurationError as error:
        _fail(f"Error: {error}", USAGE)
    except PerfguardError as error:
        _fail(f"Error: {error}", FAILED)
    except KeyboardInterrupt:
        _fail("Interrupted.", INTERRUPTED)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _fail(message: str, status: int) -> NoReturn:
    sys.stderr.write(message + "\n")
    raise typer.Exit(status)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, so that no process stays behind."""
    del number, frame
    raise SystemExit(TERMINATED)


def _headers(lines: list[str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(_header(line) for line in lines or ())


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ConfigurationError("header", line, "must look like 'Name: value'")
    return name.strip(), value.strip()
