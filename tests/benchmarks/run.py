"""Measures goodput under overload on real servers; prints tables and writes docs/benchmarks.md."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perfguard.cli.load import CapacityPlan, Connections, GeneratorDiedError, LoadPlan, Target, run_apart
from perfguard.cli.machine import Cores, Machine

HERE = Path(__file__).parent
REPORT = HERE.parents[1] / "docs" / "benchmarks.md"
DEADLINE = 0.25
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "1"))
UVICORN = ("uvicorn", "apps:app", "--port", "{port}", "--no-access-log", "--log-level", "error")
FAST = (*UVICORN, "--loop", "uvloop", "--http", "httptools")
SLOW = (*UVICORN, "--loop", "asyncio", "--http", "h11")
HYPERCORN = ("hypercorn", "apps:app", "-b", "127.0.0.1:{port}", "--error-logfile", "/dev/null")
GRANIAN = ("granian", "apps:app", "--interface", "asgi", "--port", "{port}", "--no-log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One service on one server.

    Args:
        name: For the table.
        server: The command, as arguments of `python -m`.
        app: Which application.
        work: Seconds that it computes.
        connections: What requests travel on.
        goals: Share of the unguarded peak to reach, by multiple of the peak.
        peers: Protections that are measured beside perfguard.
    """

    name: str
    server: tuple[str, ...]
    goals: dict[float, float]
    app: str = "compute"
    work: float = 0.002
    connections: Connections = Connections.KEEP_ALIVE
    peers: tuple[str, ...] = ()


PEERS = ("none", "uvicorn --limit-concurrency 20", "fixed limit", "vegas per call")
NEW = Connections.NEW
SETTINGS = (
    Setting(
        name="CPU 2 ms, uvicorn uvloop, keep-alive",
        server=FAST,
        goals={0.5: 0.5, 2.0: 0.97, 4.0: 0.96, 8.0: 0.85},
        peers=PEERS,
    ),
    Setting(
        name="CPU 2 ms, uvicorn uvloop, new connections",
        server=FAST,
        goals={2.0: 0.92, 4.0: 0.85},
        connections=NEW,
        peers=("none",),
    ),
    Setting(name="CPU 2 ms, uvicorn asyncio + h11", server=SLOW, goals={4.0: 0.82}, peers=("none",)),
    Setting(name="CPU 20 ms, uvicorn uvloop, keep-alive", server=FAST, goals={2.0: 0.95}, work=0.02, peers=("none",)),
    Setting(
        name="CPU 20 ms, uvicorn uvloop, new connections", server=FAST, goals={2.0: 0.95}, work=0.02, connections=NEW
    ),
    Setting(
        name="hidden pool 10 x 20 ms",
        server=FAST,
        app="pool",
        goals={0.5: 0.5, 2.0: 0.98, 4.0: 0.98, 8.0: 0.97},
        peers=PEERS,
    ),
    Setting(name="CPU 2 ms, granian", server=GRANIAN, goals={4.0: 0.88}),
    Setting(name="CPU 2 ms, hypercorn", server=HYPERCORN, goals={4.0: 0.72}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: shares from 0 to 1, times in seconds."""

    setting: str
    level: float
    protection: str
    goal: float | None
    share: float
    answered: float
    p50: float
    p99: float
    refused: float
    refused_p99: float


def main() -> None:
    """Measure all settings, or those whose name contains an argument."""
    chosen = [each for each in SETTINGS if not sys.argv[1:] or any(word in each.name for word in sys.argv[1:])]
    rows: list[Row] = []
    for setting in chosen:
        rows += measure(setting)
    if len(chosen) == len(SETTINGS):
        REPORT.write_text(page(rows), encoding="utf-8")


def measure(setting: Setting) -> list[Row]:
    """The peak without a guard, and then each protection at each level, interleaved."""
    rounds = calibrated(setting.work)
    peak = peak_of(setting, rounds)
    print(f"{setting.name}: unguarded peak {peak:.0f} per second")
    rows = []
    for level, goal in setting.goals.items():
        samples: dict[str, list[Row]] = {}
        for _ in range(REPEATS):
            for protection in ("perfguard", *setting.peers):
                row = one(setting, rounds, level, peak, protection, goal if protection == "perfguard" else None)
                samples.setdefault(protection, []).append(row)
        for each in samples.values():
            middle = statistics.median_low([row.share for row in each])
            rows.append(next(row for row in each if row.share == middle))
            print(line(rows[-1]), flush=True)
    return rows


def calibrated(seconds: float) -> int:
    """How much work takes that long."""
    command = [sys.executable, str(HERE / "apps.py")]
    done = subprocess.run(command, env={**os.environ, "SECONDS": str(seconds)}, capture_output=True, check=True)
    rounds: int = json.loads(done.stdout)["rounds"]
    return rounds


def peak_of(setting: Setting, rounds: int) -> float:
    """Answers per second without a guard, with sixteen users who await theirs."""
    with serving(setting, rounds, "none") as port:
        plan = CapacityPlan(
            targets=(Target(url=f"http://127.0.0.1:{port}/"),), duration=SECONDS, connections=setting.connections
        )
        return run_apart(plan, cpu=Cores.share_out().generator).rate


def one(
    setting: Setting, rounds: int, level: float, peak: float, protection: str, goal: float | None
) -> Row:  # A row's columns.
    """One protection at one level."""
    with serving(setting, rounds, protection) as port:
        target = Target.at(f"http://127.0.0.1:{port}/", peak * level, SECONDS + 1.0)
        plan = LoadPlan(targets=(target,), deadline=DEADLINE, timeout=1.0, connections=setting.connections)
        result = run_apart(plan, cpu=Cores.share_out().generator)
    part = result.total.between(1.0, SECONDS + 1.0)
    answered = result.total.ledger.between(1.0, SECONDS + 1.0).answered_within(DEADLINE)
    return Row(
        setting=setting.name,
        level=level,
        protection=protection,
        goal=goal,
        share=part.goodput / peak,
        answered=answered,
        p50=part.latency.at(50.0),
        p99=part.latency.at(99.0),
        refused=part.counts.get("refused", 0) / part.offered,
        refused_p99=part.refusals.at(99.0),
    )


@contextlib.contextmanager
def serving(setting: Setting, rounds: int, protection: str) -> Iterator[int]:
    """Keep a server, on a core of its own, for the length of the block; its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", *(part.format(port=port) for part in setting.server)]
    if protection.startswith("uvicorn "):
        command += protection.split()[1:]
        protection = "none"
    environment = {**os.environ, "APP": setting.app, "ROUNDS": str(rounds), "PROTECTION": protection}
    null = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=HERE, env=environment, stdin=null, stdout=null, stderr=null, start_new_session=True
    )
    core = Cores.share_out().server
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    try:
        await_port(port)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_port(port: int) -> None:
    """Wait until a server listens."""
    until = time.monotonic() + 20.0
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            time.sleep(0.3)
            return
        time.sleep(0.05)
    raise GeneratorDiedError("the server did not start")


def line(row: Row) -> str:
    """A row as a line of a Markdown table."""
    goal = "" if row.goal is None else f"{row.goal:.0%}"
    return (
        f"| {row.setting} | {row.level:g}x | {row.protection} | {row.share:.1%} | {goal} | {row.answered:.1%} "
        f"| {row.p50 * 1e3:.0f} | {row.p99 * 1e3:.0f} | {row.refused:.1%} | {row.refused_p99 * 1e3:.0f} |"
    )


def page(rows: list[Row]) -> str:
    """The report."""
    heads = ["service", "load", "protection", "goodput", "goal", f"answered in {DEADLINE * 1e3:.0f} ms"]
    heads += ["p50 ms", "p99 ms", "refused", "refusal p99 ms"]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"{Machine.here()}; server on one core, load on another.",
            f"Open-loop Poisson arrivals, latency from the intended instant, {SECONDS:g} s a run after a second that",
            f"does not count, median of {REPEATS}. Goodput is the share of the unguarded peak that was answered",
            "with 200 within the deadline. Default configuration. `make bench` measures all of it anew.",
            "",
            f"| {' | '.join(heads)} |",
            f"|{'---|' * len(heads)}",
            *map(line, rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
