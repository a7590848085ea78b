"""The services that are measured, the loads that are offered to each, and the goals."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from perfguard.cli.load import Connections
from tests.benchmarks.rows import Goal
from tests.benchmarks.serving import GRANIAN, GTHREAD, H11, HYPERCORN, SYNC, UVLOOP, Service

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
"""How long each run is measured, after a second that does not count."""

PEAK_SECONDS = 3.0
"""How long a closed loop is measured at most, after half a second: its rate is steadier than an open loop's."""

REPEATS = int(os.environ.get("BENCH_REPEATS", "3"))
"""Runs of each row with the guard; what it is compared with runs once."""

DEADLINE = 0.25
"""Seconds within which an answer is of use to the client."""

PATIENCE = 1.0
"""Seconds after which the client leaves."""

USERS = 16
"""Of the closed loop that measures the unguarded peak, and the cost of a service and of a refusal."""

FEW_USERS = 4
"""Of the closed loop that compares the peaks with and without the guard, where requests compute.

They keep the processor busy, and wait for a few services at most: more would wait longer than the guard lets them,
and come back the moment they are refused, which is overload and no peak.
"""

QUIET = Goal(answered=1.0, nothing_refused=True)
"""At half the peak, whatever the service."""

PEAK = Goal(share=0.97)
"""Of a closed loop with the guard, compared with the one without."""

PEERS = ("none", "uvicorn --limit-concurrency 50", "fixed limit", "vegas per call")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One service under several loads.

    Args:
        name: For the table.
        service: What is served.
        goals: By multiple of the unguarded peak.
        connections: What requests travel on.
        computes: Whether the processor is what a request needs most, so that refusals cost goodput.
        users: Of the closed loop that compares its peaks with and without the guard.
        peers: What is measured beside the guard above the peak.
    """

    name: str
    service: Service
    goals: dict[float, Goal]
    connections: Connections = Connections.KEEP_ALIVE
    computes: bool = True
    users: int = FEW_USERS
    peers: tuple[str, ...] = ("none",)

    @property
    def loads(self) -> dict[float, Goal]:
        """The goals, with half the peak before them."""
        return {0.5: QUIET, **self.goals}


def _goals(answered: float, shares: dict[float, float], p99: float | None = None) -> dict[float, Goal]:
    return {load: Goal(share=share, answered=answered, p99=p99) for load, share in shares.items()}


def _of_limit(share: float, loads: tuple[float, ...]) -> dict[float, Goal]:
    return {load: Goal(of_limit=share, answered=0.995) for load in loads}


_COMPUTE = Service(server=UVLOOP, app="compute", work=0.002)
_WSGI = Service(server=SYNC, app="service", module="wsgi_apps", work=0.002)
_FASTAPI = Service(server=UVLOOP, app="threads", module="fastapi_apps", work=0.005)

SETTINGS = (
    Setting(
        name="CPU 2 ms, uvicorn uvloop, keep-alive",
        service=_COMPUTE,
        goals=_goals(0.995, {2.0: 0.97, 4.0: 0.96, 8.0: 0.85}),
        peers=PEERS,
    ),
    Setting(
        name="CPU 2 ms, uvicorn uvloop, new connections",
        service=_COMPUTE,
        goals=_goals(0.995, {2.0: 0.92, 4.0: 0.85}),
        connections=Connections.NEW,
    ),
    Setting(
        name="CPU 2 ms, uvicorn asyncio + h11",
        service=replace(_COMPUTE, server=H11),
        goals=_goals(0.995, {4.0: 0.82}),
    ),
    Setting(
        name="CPU 20 ms, uvicorn uvloop, keep-alive",
        service=replace(_COMPUTE, work=0.02),
        goals=_goals(0.99, {2.0: 0.95}),
    ),
    Setting(
        name="CPU 20 ms, uvicorn uvloop, new connections",
        service=replace(_COMPUTE, work=0.02),
        goals=_goals(0.99, {2.0: 0.95}),
        connections=Connections.NEW,
    ),
    Setting(
        name="hidden pool 10 x 20 ms, uvicorn uvloop",
        service=Service(server=UVLOOP, app="pool"),
        goals=_goals(0.995, {2.0: 0.98, 4.0: 0.98, 8.0: 0.97}, p99=0.06),
        computes=False,
        users=USERS,
        peers=PEERS,
    ),
    Setting(
        name="CPU 2 ms, granian",
        service=replace(_COMPUTE, server=GRANIAN),
        goals=_goals(0.995, {4.0: 0.88}),
    ),
    Setting(
        name="CPU 2 ms, hypercorn",
        service=replace(_COMPUTE, server=HYPERCORN),
        goals=_goals(0.995, {4.0: 0.72}),
    ),
    Setting(
        name="sync endpoints of 5 ms CPU in the thread pool (FastAPI)",
        service=_FASTAPI,
        goals=_goals(0.99, {4.0: 0.90}),
    ),
    Setting(
        name="sync views of 2 ms CPU, Django under uvicorn uvloop",
        service=Service(server=UVLOOP, app="compute", module="django_apps", work=0.002),
        goals={2.0: Goal(of_limit=0.90, answered=0.99)},
        peers=("none", "middleware"),
    ),
    Setting(
        name="CPU 2 ms, gunicorn sync",
        service=_WSGI,
        goals=_of_limit(0.92, (1.5, 2.0, 5.0)),
        connections=Connections.NEW,  # This worker closes each.
    ),
    Setting(
        name="CPU 2 ms, gunicorn gthread, 8 threads",
        service=replace(_WSGI, server=GTHREAD),
        goals=_of_limit(0.92, (1.5, 3.0, 5.0)),
    ),
    Setting(
        name="20 ms of waiting, gunicorn gthread, 8 threads",
        service=replace(_WSGI, server=GTHREAD, work=0.0, wait=0.02),
        goals=_of_limit(0.97, (2.0, 4.0)),
        computes=False,
        users=USERS,
    ),
)

ROUTES = "/fast at 0.3x beside /slow at 8x of its pool (FastAPI)"
FAST_GOAL = Goal(share=0.995, p99=0.02)
FAST_LOAD = 0.3
SLOW_LOAD = 8.0
ROUTES_SERVICE = replace(_FASTAPI, app="routes", work=0.0, share=1.0 / SLOW_LOAD, turned_away="/slow")

HALVING = "hidden pool 10 x 20 ms that halves in mid-run"
HALVING_GOAL = Goal(share=0.95)
HALVING_LOAD = 2.0
HALVING_AFTER = 3.0
"""Seconds from the first request to the halving."""
SETTLING = 5.0
"""Seconds from the halving until goodput must be that of the new capacity."""
