"""The commands of `perfguard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

import perfguard
from perfguard.cli import options
from perfguard.cli.demo.command import execute_demo
from perfguard.cli.demo.scenario import FULL, QUICK
from perfguard.cli.durations import parse_duration
from perfguard.cli.failures import FAILED, fail, reported_errors
from perfguard.cli.load import Arrivals, CapacityPlan, Connections, LoadPlan, Phase, Target
from perfguard.cli.load.plan import MAX_CONNECTIONS, MAX_REQUESTS
from perfguard.cli.load_command import execute_capacity, execute_load
from perfguard.cli.machine import parse_core
from perfguard.cli.outputs import Outputs
from perfguard.cli.trace_report_command import execute_trace_report
from perfguard.cli.typed import parse_choice, parse_number, parse_whole
from perfguard.errors import ConfigurationError
from perfguard.telemetry.serial import Independence

_MOST_SEED = 2**63 - 1
_MOST_PORT = 65_535


class WithPlainUsage(TyperCommand):
    """Writes URL in the usage line where Typer writes {URL}."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """See the base class."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


# Typer has two styles of messages; the plain one is that of our own.
app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings={"max_content_width": 100})


@app.callback(invoke_without_command=True)
def root(context: typer.Context, *, version: options.Version = False) -> None:
    """Overload protection for Python web services: see it at work, and load a server."""
    if version:
        sys.stdout.write(f"perfguard {perfguard.__version__}\n")
    elif context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


@app.command(cls=WithPlainUsage)
def load(
    context: typer.Context,
    url: options.Url,
    *,
    rate: options.Rate = "100",
    duration: options.Duration = "10s",
    deadline: options.Deadline = "1s",
    timeout: options.Timeout = "",
    arrivals: options.Spread = Arrivals.POISSON.value,
    connections: options.Transport = Connections.KEEP_ALIVE.value,
    max_connections: options.MaxConnections = "8192",
    method: options.Method = "GET",
    header: options.Header = None,
    body: options.Body = "",
    seed: options.Seed = "0",
    cpu: options.Cpu = "",
    allow_remote: options.AllowRemote = False,
    json: options.Json = None,
    html: options.Html = None,
) -> None:
    """Offer a load at a fixed rate, and report what the clients saw.

    URL is an address on this machine, such as http://127.0.0.1:8000/orders.

    Every request's instant is fixed before the run, and its latency counts from that instant: a server that stalls
    cannot slow the arrivals down, and thereby hide its stalls (coordinated omission).

    Exits with 1 if not one request succeeded, and with 2 if an argument is wrong or no server is there.
    """
    with reported_errors(context):
        phase = Phase(rate=parse_number(rate, "rate", most=MAX_REQUESTS), duration=parse_duration(duration))
        target = Target(url=url, phases=(phase,), method=method.upper(), headers=_headers(header), body=body.encode())
        plan = LoadPlan(
            targets=(target,),
            deadline=parse_duration(deadline, "deadline"),
            timeout=parse_duration(timeout, "timeout") if timeout else None,
            arrivals=parse_choice(arrivals, "arrivals", Arrivals),
            connections=parse_choice(connections, "connections", Connections),
            max_connections=parse_whole(max_connections, "max_connections", least=1, most=MAX_CONNECTIONS),
            seed=parse_whole(seed, "seed", most=_MOST_SEED),
            allow_remote=allow_remote,
        )
        execute_load(plan, Outputs(json=json, html=html), cpu=parse_core(cpu))


@app.command(cls=WithPlainUsage)
def capacity(
    context: typer.Context,
    url: options.Url,
    *,
    users: options.Users = "16",
    duration: options.Duration = "5s",
    connections: options.Transport = Connections.KEEP_ALIVE.value,
    method: options.Method = "GET",
    header: options.Header = None,
    body: options.Body = "",
    cpu: options.Cpu = "",
    allow_remote: options.AllowRemote = False,
    json: options.Json = None,
) -> None:
    """Measure how many requests per second a server can serve.

    URL is an address on this machine, such as http://127.0.0.1:8000/orders.

    It tells which --rate to give to `perfguard load`: half of the capacity is a busy day, twice the capacity is
    overload. A fixed number of clients each await their answer before they send again, so that the server is always
    busy and never flooded. Measure the server without its guard (PERFGUARD_ENABLED=0): a guard refuses, and
    clients who are refused wait as long as Retry-After says.

    Exits with 1 if not one request succeeded, and with 2 if an argument is wrong or no server is there.
    """
    with reported_errors(context):
        plan = CapacityPlan(
            targets=(Target(url=url, method=method.upper(), headers=_headers(header), body=body.encode()),),
            users=parse_whole(users, "users", least=1, most=MAX_CONNECTIONS),
            duration=parse_duration(duration),
            connections=parse_choice(connections, "connections", Connections),
            allow_remote=allow_remote,
        )
        execute_capacity(plan, Outputs(json=json), cpu=parse_core(cpu))


@app.command()
def demo(
    context: typer.Context,
    *,
    quick: options.Quick = False,
    port: options.Port = "",
    json: options.Json = None,
    html: options.PageFile = Path("perfguard-demo.html"),
) -> None:
    """Show a FastAPI service under overload, without the guard and with it.

    Measures its capacity, and offers it 0.5, 1.5, 4 and 8 times that. Takes less than 90 seconds.

    Exits with 1 if the guard did not help at 4 or 8 times the capacity.
    """
    with reported_errors(context):
        scenario = QUICK if quick else FULL
        wanted = parse_whole(port, "port", most=_MOST_PORT) if port else 0
        if not execute_demo(scenario, Outputs(json=json, html=html), port=wanted):
            fail("The guard did not help.", FAILED)


@app.command("trace-report", cls=WithPlainUsage)
def trace_report(
    context: typer.Context,
    file: options.TraceFile,
    *,
    independent: options.Independent = Independence.SAME_LABEL.value,
    json: options.Json = None,
) -> None:
    """Report for each route what ran one after the other, and what running it at once could gain.

    FILE has traces as OTLP JSON, such as the OpenTelemetry Collector's file exporter writes; - is the standard input.

    Exits with 1 if the file has no request (span of kind SERVER), and with 2 if it is missing or is not OTLP JSON.
    """
    with reported_errors(context):
        execute_trace_report(file, parse_choice(independent, "independent", Independence), Outputs(json=json))


def _headers(lines: list[str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(_header(line) for line in lines or ())


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ConfigurationError("header", line, "must look like 'Name: value'")
    return name.strip(), value.strip()
