"""The scenarios: kinds of servers and loads at which limits have failed."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, sqrt
from random import Random

from tests.simulations.engine import Scenario


def steady(value: float) -> Callable[[float], float]:
    """A quantity that does not change."""
    return lambda now: value


def stepped(*steps: tuple[float, float]) -> Callable[[float], float]:
    """A quantity that takes each value from its instant on."""
    return lambda now: [value for start, value in steps if now >= start][-1]


def lognormal(
    mean: float, spread: float, factor: Callable[[float], float] | None = None
) -> Callable[[Random, float], float]:
    """Work with a mean in seconds and a coefficient of variation."""
    sigma = sqrt(log(1.0 + spread * spread))
    location = log(mean) - sigma * sigma / 2.0
    scale = factor or steady(1.0)
    return lambda chance, now: exp(chance.gauss(location, sigma)) * scale(now)


def bimodal(short: float, long: float, share: Callable[[float], float]) -> Callable[[Random, float], float]:
    """Short work, and long work for a share of the calls."""
    return lambda chance, now: long if chance.random() < share(now) else short


POOL = lognormal(0.1, 0.5)

SCENARIOS = (
    Scenario(name="S1 steady 2x", rate=steady(200), slots=steady(10), work=POOL),
    Scenario(name="S2 steady 0.6x", rate=steady(60), slots=steady(10), work=POOL, healthy=True),
    Scenario(name="S3 1.15x for 10 min", rate=steady(115), slots=steady(10), work=POOL, duration=600.0),
    Scenario(
        name="S4 dependency x4, no queue",
        rate=steady(100),
        slots=steady(1e9),
        deadline=2.5,
        work=lognormal(0.1, 0.5, stepped((0, 1.0), (20, 4.0), (60, 1.0))),
        duration=90.0,
        healthy=True,
    ),
    Scenario(
        name="S5 capacity /4 for 40 s",
        rate=steady(90),
        slots=stepped((0, 10), (30, 2.5), (70, 10)),
        deadline=2.0,
        work=POOL,
        duration=110.0,
    ),
    Scenario(name="S6 2 rps", rate=steady(2), slots=steady(10), work=POOL, duration=200.0, healthy=True),
    Scenario(
        name="S7 mix shifts 5/500 ms",
        rate=steady(30),
        slots=steady(40),
        deadline=2.0,
        work=bimodal(0.005, 0.5, stepped((0, 0.05), (30, 0.4))),
        duration=70.0,
        healthy=True,
    ),
    Scenario(name="S8 overload from the start, 8x", rate=steady(800), slots=steady(10), work=POOL),
    Scenario(
        name="S9 high concurrency",
        rate=steady(2000),
        slots=steady(1e9),
        work=lognormal(0.25, 0.3),
        duration=40.0,
        healthy=True,
    ),
    Scenario(name="S10 spike 5x for 5 s", rate=stepped((0, 60), (20, 500), (25, 60)), slots=steady(10), work=POOL),
    Scenario(name="S11 on and off", rate=lambda now: 300.0 if int(now / 10) % 2 else 20.0, slots=steady(10), work=POOL),
    Scenario(
        name="S12 contention beyond 20",
        rate=steady(300),
        slots=steady(20),
        work=POOL,
        cost=lambda n: 1.0 + max(0, n - 20) / 20.0,
    ),
    Scenario(
        name="pool 10 x 20 ms, 2x", rate=steady(1000), slots=steady(10), work=lognormal(0.02, 0.05), duration=30.0
    ),
    Scenario(
        name="pool 10 x 20 ms, 8x", rate=steady(4000), slots=steady(10), work=lognormal(0.02, 0.05), duration=20.0
    ),
    Scenario(
        name="pool halves",
        rate=steady(1000),
        slots=stepped((0, 10), (15, 5)),
        work=lognormal(0.02, 0.05),
        duration=30.0,
    ),
    Scenario(
        name="work doubles",
        rate=steady(1000),
        slots=steady(10),
        work=lognormal(0.02, 0.05, stepped((0, 1.0), (15, 2.0))),
        duration=30.0,
    ),
    Scenario(
        name="pool doubles",
        rate=steady(1500),
        slots=stepped((0, 10), (15, 20)),
        work=lognormal(0.02, 0.05),
        duration=30.0,
    ),
    Scenario(name="one slot, 5 ms, 4x", rate=steady(800), slots=steady(1), work=lognormal(0.005, 0.1), duration=30.0),
    Scenario(name="heavy tail 2x", rate=steady(200), slots=steady(10), work=lognormal(0.1, 2.0), deadline=3.0),
)
