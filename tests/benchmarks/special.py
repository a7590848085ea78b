"""Measures what is no steady load on one route: a route beside a saturated one, and a capacity that halves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from perfguard.cli.load import Connections, LoadResult
from tests.benchmarks import settings
from tests.benchmarks.measure import WARM_UP, Note, doubt, offer, peak_of, plan_of, row_of
from tests.benchmarks.rows import Row, middle
from tests.benchmarks.settings import REPEATS, SECONDS, USERS

_KEEP_ALIVE = Connections.KEEP_ALIVE


def routes(note: Note) -> Iterator[Row]:
    """A light load on one route, while another is far beyond its pool.

    Beside the guard stands the same service that turns the surplus away by itself: no guard can do better.
    """
    service = settings.ROUTES_SERVICE
    fast = peak_of(service, "none", _KEEP_ALIVE, users=USERS, path="/fast").rate * settings.FAST_LOAD
    slow = peak_of(service, "none", _KEEP_ALIVE, users=USERS, path="/slow").rate
    note(f"{settings.ROUTES}: unguarded peaks {fast / settings.FAST_LOAD:.0f} and {slow:.0f} per second")
    rows: dict[str, list[Row]] = {}
    for repeat in range(REPEATS):
        for side in ("perfguard", "turning away", *(() if repeat else ("none",))):
            rates = {"/fast": fast, "/slow": slow * settings.SLOW_LOAD}
            result = offer(service, side, plan_of(rates, WARM_UP + SECONDS, seed=repeat))
            for row in _of_routes(result, side, fast, slow):
                rows.setdefault(f"{side} {row.load}", []).append(row)
    for each in rows.values():
        yield middle(each)


def halving(note: Note) -> Iterator[Row]:
    """A load of twice the capacity, half of which is lost in mid-run."""
    pool = next(each for each in settings.SETTINGS if each.service.app == "pool").service
    peak = median(peak_of(pool, "none", _KEEP_ALIVE, users=USERS).rate for _ in range(REPEATS))
    note(f"{settings.HALVING}: unguarded peak {peak:.0f} per second")
    service = replace(pool, app="halving", halve_after=settings.HALVING_AFTER)
    start = settings.HALVING_AFTER + settings.SETTLING
    rows: dict[str, list[Row]] = {}
    for repeat in range(REPEATS):
        for side in ("perfguard", *(() if repeat else ("none",))):
            plan = plan_of({"/": peak * settings.HALVING_LOAD}, start + SECONDS, seed=repeat)
            result = offer(service, side, plan)
            rows.setdefault(side, []).append(_of_halving(result, side, peak))
    for each in rows.values():
        yield middle(each)


def _of_routes(result: LoadResult, side: str, fast: float, slow: float) -> Iterator[Row]:
    window = (WARM_UP, WARM_UP + SECONDS)
    for part in result.targets:
        is_fast = part.label == "/fast"
        # Goodput of a light load is a share of what was offered, which chance sets, not of a peak.
        offered = part.between(*window).offered / SECONDS
        yield replace(
            row_of(
                part,
                window,
                offered if is_fast else slow,
                labels=(settings.ROUTES, f"{part.label} {fast if is_fast else slow * settings.SLOW_LOAD:.0f}/s", side),
                goal=settings.FAST_GOAL if is_fast and side == "perfguard" else None,
            ),
            doubt=doubt(result),
        )


def _of_halving(result: LoadResult, side: str, peak: float) -> Row:
    start = settings.HALVING_AFTER + settings.SETTLING
    row = row_of(
        result.total,
        (start, start + SECONDS),
        peak / 2,
        labels=(settings.HALVING, f"{settings.HALVING_LOAD:g}x, from {settings.SETTLING:g} s after", side),
        goal=settings.HALVING_GOAL if side == "perfguard" else None,
    )
    return replace(row, doubt=doubt(result))
