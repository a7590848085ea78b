"""The scenarios: kinds of servers and loads at which limits have failed."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

from perfguard.outcome import Outcome, Priority
from tests.simulations.engine import Kind, Scenario, Shape, Stage, Work


def steady(value: float) -> Shape:
    """A quantity that does not change."""
    return lambda now: value


def stepped(*steps: tuple[float, float]) -> Shape:
    """A quantity that takes each value from its instant on."""
    return lambda now: [value for start, value in steps if now >= start][-1]


def ramp(low: float, high: float, seconds: float) -> Shape:
    """A quantity that moves evenly from one value to the other, then stays."""
    return lambda now: low + (high - low) * min(1.0, now / seconds)


def bursts(low: float, high: float, length: float, every: float) -> Shape:
    """A quantity that is high for `length` seconds at the end of every `every`."""
    return lambda now: high if now % every >= every - length else low


def lognormal(mean: float, spread: float, factor: Shape | None = None) -> Work:
    """Work with a mean in seconds and a coefficient of variation."""
    sigma = sqrt(log(1.0 + spread * spread))
    location = log(mean) - sigma * sigma / 2.0
    if factor is None:
        return lambda chance, now: exp(chance.gauss(location, sigma))
    return lambda chance, now: exp(chance.gauss(location, sigma)) * factor(now)


def bimodal(short: float, long: float, share: Shape) -> Work:
    """Short work, and long work for a share of the calls."""
    return lambda chance, now: long if chance.random() < share(now) else short


def uniform(low: float, high: float) -> Work:
    """Work that is as likely anywhere between two bounds."""
    return lambda chance, now: chance.uniform(low, high)


def constant(seconds: float) -> Work:
    """Work that is always the same."""
    return lambda chance, now: seconds


def pool(slots: Shape, work: Work, *, visible: bool = False) -> tuple[Stage, ...]:
    """One pool, whose queue the process sees or does not see."""
    return (Stage(work=work, slots=slots, visible=visible),)


def hidden(scenario: Scenario, name: str) -> Scenario:
    """The same, with every queue out of sight."""
    return replace(scenario, name=name, stages=tuple(replace(stage, visible=False) for stage in scenario.stages))


TEN = steady(10)
WORK = lognormal(0.1, 0.5)
SEEN = pool(TEN, WORK, visible=True)
UNSEEN = pool(TEN, WORK)
GIL = (Stage(work=constant(0.008), slots=steady(1)), Stage(work=lognormal(0.06, 0.3)))
FAST_FAILURE = Kind(share=0.5, stages=(Stage(work=constant(0.001)),), outcome=Outcome.FAILURE, wanted=False)
NOT_FOUND = Kind(share=0.6, stages=(Stage(work=constant(0.001)),))

S1 = Scenario(name="S1 steady 2x", rate=steady(200), stages=SEEN)
S3 = Scenario(name="S3 1.15x for 15 min", rate=steady(115), stages=SEEN, duration=900.0)
# A quarter of 10 slots is three that work 1.2 times as long.
S5 = Scenario(
    name="S5 capacity /4 for 100 s at 0.9x",
    rate=steady(90),
    stages=pool(
        stepped((0, 10), (80, 3), (180, 10)), lognormal(0.1, 0.5, stepped((0, 1), (80, 1.2), (180, 1))), visible=True
    ),
    phases=(80.0, 180.0),
    deadline=2.0,
    duration=240.0,
)
S10 = Scenario(
    name="S10 cold start, work x6 for 30 s",
    rate=steady(60),
    stages=pool(TEN, lognormal(0.1, 0.5, stepped((0, 6), (30, 1))), visible=True),
    phases=(30.0,),
    deadline=1.0,
    duration=90.0,
)
S11 = Scenario(
    name="S11 bursts of 5x, 2 s in 20",
    rate=bursts(60, 500, 2.0, 20.0),
    stages=SEEN,
    duration=120.0,
)
S16 = Scenario(
    name="S16 ramp 0.8x to 1.5x in 10 min",
    rate=ramp(80, 150, 600.0),
    stages=UNSEEN,
    phases=(200.0, 400.0),
    duration=600.0,
)
S20 = Scenario(
    name="S20 priorities at 1.5x",
    rate=steady(150),
    stages=UNSEEN,
    priorities=((Priority.HIGH, 0.1), (Priority.NORMAL, 0.3), (Priority.LOW, 0.6)),
)
S24 = Scenario(name="S24 refusals of 0.02 ms, 5x", rate=steady(625), stages=GIL, refusal=0.00002, duration=40.0)

ANCHORS = (
    S1,
    Scenario(name="S2 steady 0.6x", rate=steady(60), stages=SEEN, healthy=True, queued=False, duration=120.0),
    S3,
    Scenario(
        name="S4 dependency x4, no queue",
        rate=steady(100),
        stages=(Stage(work=lognormal(0.1, 0.5, stepped((0, 1.0), (40, 4.0), (100, 1.0)))),),
        phases=(40.0, 100.0),
        deadline=2.5,
        duration=140.0,
        healthy=True,
        queued=False,
    ),
    S5,
    Scenario(name="S6 2 rps", rate=steady(2), stages=SEEN, duration=600.0, healthy=True, queued=False),
    Scenario(
        name="S7 mix of 5/500 ms shifts",
        rate=steady(30),
        stages=pool(TEN, bimodal(0.005, 0.5, stepped((0, 0.05), (60, 0.4)))),
        phases=(60.0,),
        deadline=2.5,
        duration=180.0,
        healthy=True,
        queued=False,
    ),
    Scenario(name="S8 half fail in 1 ms, 2x", rate=steady(400), stages=UNSEEN, kinds=(FAST_FAILURE,)),
    Scenario(
        name="S9 5 % streams of 20-40 s, held",
        rate=steady(60),
        stages=UNSEEN,
        kinds=(Kind(share=0.05, held=uniform(20.0, 40.0), outcome=Outcome.SUCCESS),),
        duration=240.0,
        healthy=True,
        queued=False,
    ),
    Scenario(
        name="S9 the same, released at first byte",
        rate=steady(60),
        stages=UNSEEN,
        kinds=(Kind(share=0.05, outcome=Outcome.IGNORED),),
        duration=120.0,
        healthy=True,
        queued=False,
    ),
    S10,
    S11,
    Scenario(
        name="S12 one GIL, 8 ms CPU + 60 ms, 2x",
        rate=steady(250),
        stages=GIL,
        cost=lambda in_flight: 1.0 + 0.005 * in_flight,
    ),
    hidden(S1, "S14 S1 hidden"),
    hidden(S3, "S14 S3 hidden"),
    hidden(S5, "S14 S5 hidden"),
    hidden(S10, "S10 hidden"),
    hidden(S11, "S11 hidden"),
    Scenario(
        name="S15 all time out at 5 s for 60 s",
        rate=steady(60),
        stages=(Stage(work=lambda chance, now: 5.0 if 60.0 <= now < 120.0 else WORK(chance, now)),),
        phases=(60.0, 120.0),
        timeout=5.0,
        duration=240.0,
        queued=False,
    ),
    S16,
    Scenario(
        name="S17 retry storm after 10 s of 3x",
        rate=stepped((0, 80), (30, 300), (40, 80)),
        stages=UNSEEN,
        phases=(30.0, 40.0),
        retries=3,
        duration=100.0,
    ),
    Scenario(
        name="S18 pause of 300 ms every 10 s, 0.7x",
        rate=steady(70),
        stages=UNSEEN,
        pause=(10.0, 0.3),
        duration=240.0,
        healthy=True,
        queued=False,
    ),
    Scenario(
        name="S19 idle to 5x in 1 s",
        rate=lambda now: 2.0 + 498.0 * min(1.0, max(0.0, now - 60.0)),
        stages=UNSEEN,
        phases=(60.0,),
        duration=100.0,
    ),
    S20,
    replace(S20, name="S20 priorities at 3x", rate=steady(300)),
    replace(S20, name="S20 priorities at 10x", rate=steady(1000), duration=30.0),
    Scenario(
        name="S22 5 % cost 10x, 2x",
        rate=steady(138),
        stages=pool(TEN, bimodal(0.1, 1.0, steady(0.05))),
        deadline=2.5,
        duration=120.0,
    ),
    S24,
    replace(S24, name="S24 refusals of 0.2 ms, 5x", refusal=0.0002),
    replace(S24, name="S24 refusals of 2 ms, 5x", refusal=0.002),
    Scenario(
        name="S25 60 % not found in 1 ms, 0.8x",
        rate=steady(200),
        stages=UNSEEN,
        kinds=(NOT_FOUND,),
        healthy=True,
        queued=False,
        duration=90.0,
    ),
    Scenario(
        name="S26 20 % cancel at 200 ms, 1.5x",
        rate=steady(150),
        stages=UNSEEN,
        kinds=(Kind(share=0.2, patience=0.2),),
    ),
    Scenario(
        name="S27 capacity x2",
        rate=steady(300),
        stages=pool(stepped((0, 10), (30, 20)), WORK),
        phases=(30.0,),
    ),
    Scenario(
        name="S28 200 us, 2x",
        rate=steady(10_000),
        stages=pool(steady(1), lognormal(0.0002, 0.5)),
        duration=5.0,
    ),
    Scenario(
        name="S29 calls of 2-60 s, 0.5 rps",
        rate=steady(0.5),
        stages=pool(steady(40), uniform(2.0, 60.0)),
        deadline=120.0,
        duration=2400.0,
        healthy=True,
        queued=False,
    ),
)

QUICK = lognormal(0.02, 0.05)


def client(name: str, offered: Shape, stages: tuple[Stage, ...], *, half_way: bool = False) -> Scenario:
    """A scenario of the design's table: a hidden back end, a client that waits for 250 ms."""
    phases = (20.0,) if half_way else ()
    return Scenario(name=name, rate=offered, stages=stages, deadline=0.25, duration=40.0, phases=phases)


DESIGN = (
    client("10 x 20 ms, 2x", steady(1000), pool(TEN, QUICK)),
    replace(client("10 x 20 ms, 8x", steady(4000), pool(TEN, QUICK)), duration=20.0),
    replace(
        client("10 x 20 ms, drift 0.9x to 1.5x", ramp(450, 750, 60.0), pool(TEN, QUICK)),
        phases=(20.0, 40.0),
        duration=60.0,
    ),
    client(
        "10 x 20 ms, work x5",
        steady(600),
        pool(TEN, lognormal(0.02, 0.05, stepped((0, 1.0), (20, 5.0)))),
        half_way=True,
    ),
    client("10 x 20 ms, capacity halves", steady(750), pool(stepped((0, 10), (20, 5)), QUICK), half_way=True),
    client("10 x 20 ms, capacity x4", steady(1000), pool(stepped((0, 10), (20, 40)), QUICK), half_way=True),
    client("bimodal 5/150 ms, 2x", steady(590), pool(TEN, bimodal(0.005, 0.15, steady(0.2)))),
    client("heavy tail, sigma 1.5, 2x", steady(1000), pool(TEN, lambda chance, now: exp(chance.gauss(-5.037, 1.5)))),
    replace(client("200 x 50 ms, 1.5x", steady(6000), pool(steady(200), lognormal(0.05, 0.2))), duration=20.0),
    replace(client("10 x 20 ms, 0.5x", steady(250), pool(TEN, QUICK)), healthy=True, queued=False, duration=60.0),
)

OWN = (
    Scenario(
        name="cold start to 500 in flight",
        rate=steady(2000),
        stages=(Stage(work=lognormal(0.25, 0.3)),),
        duration=60.0,
        queued=False,
    ),
    Scenario(name="8x from the start", rate=steady(800), stages=UNSEEN),
    Scenario(
        name="0.5x, then 4x",
        rate=stepped((0, 250), (20, 2000)),
        stages=pool(TEN, QUICK),
        phases=(20.0,),
        deadline=0.25,
        duration=40.0,
    ),
    Scenario(
        name="40 threads before 10 connections, 2x",
        rate=steady(200),
        stages=(
            Stage(work=constant(0.001), slots=steady(40)),
            Stage(work=WORK, slots=TEN, visible=True),
        ),
    ),
    Scenario(
        name="one slot of 5 ms, 4x",
        rate=steady(800),
        stages=pool(steady(1), lognormal(0.005, 0.1)),
        duration=30.0,
    ),
)

SCENARIOS = (*ANCHORS, *DESIGN, *OWN)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

NOT_SIMULATED = {
    "S13": "A run-to-completion loop: no limit sees it; `make bench` measures it on real servers.",
    "S21": "One tenant with 80 % of the load: fairness among tenants is no part of a limit.",
    "S23": "Eight workers before one database: a limit knows its own process alone.",
}

EXCUSED = {
    "S24 refusals of 2 ms, 5x": "refusing costs the whole machine, whatever the limit",
    "S11 bursts of 5x, 2 s in 20": "a fixed limit at the knee, 10, has 0.951 itself; the best lets a burst wait 0.9 s",
}
