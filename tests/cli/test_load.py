"""The load generator against a server with faults."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import uvloop

from perfguard.cli.load import (
    Arrivals,
    CapacityPlan,
    Connections,
    Distribution,
    Kind,
    LoadPlan,
    LoadResult,
    Phase,
    Progress,
    RemoteHostError,
    Target,
    measure_capacity,
    run_apart,
    run_load,
)
from perfguard.cli.load.alarm import LoopTimer, make_alarm
from perfguard.cli.load.fate import Fate, describe, fate_of, kind_of
from perfguard.cli.load.process import raise_file_limit
from perfguard.cli.load.schedule import instants, schedule
from perfguard.errors import ConfigurationError


def load(
    url: str,
    *,
    rate: float = 100.0,
    deadline: float = 0.5,
    connections: Connections = Connections.KEEP_ALIVE,
    timeout: float | None = None,
    **target: object,
) -> LoadResult:
    plan = LoadPlan(
        targets=(Target(url=url, phases=(Phase(rate=rate, duration=0.3),), **target),),  # type: ignore[arg-type]
        deadline=deadline,
        timeout=timeout,
        connections=connections,
    )
    return asyncio.run(run_load(plan))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/ok", Kind.GOOD),
        ("/chunked", Kind.GOOD),
        ("/once", Kind.GOOD),
        ("/refused", Kind.REFUSED),
        ("/missing", Kind.ERROR),
        ("/garbage", Kind.ERROR),
        ("/truncated", Kind.ERROR),
        ("/closed", Kind.ERROR),
    ],
)
@pytest.mark.parametrize("connections", list(Connections))
def test_each_answer_counts_as_what_it_is(base: str, path: str, kind: Kind, connections: Connections) -> None:
    result = load(base + path, connections=connections)
    assert result.total.summary.offered > 0
    assert result.total.summary.share(kind) == 1.0
    assert result.as_dict()


def test_an_answer_after_the_deadline_is_late(base: str) -> None:
    assert load(base + "/late", deadline=0.05, timeout=1.0).total.summary.share(Kind.LATE) == 1.0


def test_a_client_whose_patience_ends_counts_as_unanswered(base: str) -> None:
    assert load(base + "/silent", deadline=0.1).total.summary.share(Kind.UNANSWERED) == 1.0


def test_a_request_that_met_a_closing_connection_is_sent_again(base: str) -> None:
    result = load(base + "/second", rate=50.0)
    assert result.total.summary.share(Kind.GOOD) == 1.0


def test_nothing_that_listens_is_a_refused_connection() -> None:
    summary = load("http://127.0.0.1:1/").total.summary
    assert summary.share(Kind.ERROR) == 1.0
    assert "connection refused" in summary.errors


def test_a_body_and_headers_are_sent(base: str) -> None:
    result = load(base + "/ok", method="POST", body=b"x" * 10, headers=(("X-Test", "1"),))
    assert result.total.summary.share(Kind.GOOD) == 1.0


def test_more_connections_than_allowed_are_not_opened(base: str) -> None:
    plan = LoadPlan(targets=(Target.at(base + "/late", 200.0, 0.3),), max_connections=2)
    result = asyncio.run(run_load(plan))
    assert result.total.summary.count(Kind.UNSENT) > 0
    assert result.generator.peak_connections <= 2
    assert result.warnings


def test_progress_is_told(base: str) -> None:
    seen: list[Progress] = []
    plan = LoadPlan(targets=(Target.at(base + "/ok", 50.0, 0.6), Target.at(base + "/missing", 50.0, 0.6)))
    uvloop.run(run_load(plan, seen.append))
    assert seen
    assert seen[-1].sent > 0


def test_the_capacity_is_what_users_get_who_await_their_answers(base: str) -> None:
    plan = CapacityPlan(
        targets=(Target(url=base + "/ok"), Target(url=base + "/late")),
        weights=(9.0, 1.0),
        users=4,
        duration=0.5,
        warm_up=0.1,
    )
    seen: list[Progress] = []
    result = asyncio.run(measure_capacity(plan, seen.append))
    assert result.rate > 0.0
    assert result.as_dict()


def test_users_who_are_refused_come_back_when_they_are_told_to(base: str) -> None:
    plan = CapacityPlan(targets=(Target(url=base + "/busy"),), users=3, duration=0.5, warm_up=0.0)
    result = asyncio.run(measure_capacity(plan))
    assert result.summary.statuses == {503: 3}
    assert result.rate == 0.0
    assert "its guard" in result.warnings[0].lower()


def test_the_capacity_is_the_median_of_its_windows(base: str) -> None:
    plan = CapacityPlan(targets=(Target(url=base + "/ok"),), users=2, duration=0.5, windows=5, warm_up=0.0)
    result = asyncio.run(measure_capacity(plan))
    assert len(result.windows) == 5
    assert result.rate == sorted(result.windows)[2]


def test_users_who_wait_too_long_give_up(base: str) -> None:
    plan = CapacityPlan(targets=(Target(url=base + "/silent"),), users=2, duration=0.3, warm_up=0.0, timeout=0.1)
    assert asyncio.run(measure_capacity(plan)).rate == 0.0


def test_a_plan_runs_in_a_process_of_its_own(base: str) -> None:
    result = run_apart(LoadPlan(targets=(Target.at(base + "/ok", 50.0, 0.3),)), cpu=0)
    assert result.total.summary.share(Kind.GOOD) == 1.0


def test_an_error_of_that_process_is_raised_here() -> None:
    with pytest.raises(RemoteHostError, match="loopback"):
        run_apart(LoadPlan(targets=(Target.at("http://192.0.2.1:80/", 50.0, 0.3),)))


def test_poisson_arrivals_are_spread_like_independent_clients() -> None:
    gaps = list(instants((Phase(rate=1000.0, duration=10.0),), Arrivals.POISSON, Random(1)))
    assert 9_500 < len(gaps) < 10_500
    assert gaps == sorted(gaps)


def test_constant_arrivals_keep_their_distance_and_pauses_are_empty() -> None:
    phases = (Phase(rate=2.0, duration=1.0), Phase(rate=0.0, duration=1.0), Phase(rate=1.0, duration=1.0))
    assert list(instants(phases, Arrivals.CONSTANT, Random(1))) == [0.0, 0.5, 2.0]


def test_the_same_seed_gives_the_same_schedule() -> None:
    plan = LoadPlan(targets=(Target.at("http://127.0.0.1:1/", 100.0, 1.0),) * 2, seed=5)
    assert schedule(plan) == schedule(plan)
    assert len(schedule(plan)) > 100


def test_latencies_are_kept_to_three_digits() -> None:
    one = Distribution.of([0.001, 0.002, 0.003])
    assert one.at(50.0) == pytest.approx(0.002, rel=0.001)
    assert one.as_dict()["count"] == 3


def test_fates_have_words() -> None:
    assert describe(404) == "status 404"
    assert {describe(fate) for fate in Fate} >= {"unanswered", "connection refused"}
    assert fate_of(None) is Fate.CONNECT_FAILED
    assert kind_of(Fate.UNSENT, 0.0, 1.0) is Kind.UNSENT


def test_alarms_ring() -> None:
    async def main() -> None:
        for make in (make_alarm, lambda ring: LoopTimer(asyncio.get_running_loop(), ring)):
            rung = asyncio.Event()
            alarm = make(rung.set)
            alarm.set(asyncio.get_running_loop().time() + 0.01)
            assert await asyncio.wait_for(rung.wait(), 5.0)
            alarm.close()
            alarm.close()

    asyncio.run(main())
    raise_file_limit()


WRONG = [
    (lambda: Phase(rate=-1.0, duration=1.0), "rate must be"),
    (lambda: Phase(rate=1.0, duration=0.0), "duration must be"),
    (lambda: Target(url="ftp://127.0.0.1/"), "url must look like"),
    (lambda: Target(url="http://127.0.0.1:99999/"), "url must have a port"),
    (lambda: Target(url="http://me@127.0.0.1/"), "must not carry a user name"),
    (lambda: Target(url="http://127.0.0.1/", method="BREW"), "method must be one of"),
    (lambda: Target(url="http://127.0.0.1/", headers=(("a b", "c"),)), "header must have a name"),
    (lambda: Target(url="http://127.0.0.1/", headers=(("a", "\n"),)), "header must have a printable"),
    (lambda: Target(url="http://127.0.0.1/", headers=(("Connection", "x"),)), "is set by the generator"),
    (lambda: LoadPlan(targets=()), "targets must be 1 to"),
    (lambda: LoadPlan(targets=(Target(url="http://127.0.0.1/"),)), "duration must be above 0"),
    (lambda: LoadPlan(targets=(Target.at("http://127.0.0.1/", 1, 1),), deadline=0.0), "deadline must be"),
    (lambda: LoadPlan(targets=(Target.at("http://127.0.0.1/", 1, 1),), timeout=0.5), "timeout must be at least"),
    (lambda: LoadPlan(targets=(Target.at("http://127.0.0.1/", 1, 1),), max_connections=0), "max_connections must"),
    (lambda: LoadPlan(targets=(Target.at("http://127.0.0.1/", 5e6, 2),)), "must make at most"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), duration=0.0), "duration must be"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), warm_up=-1.0), "warm_up must be"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), timeout=0.0), "timeout must be"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), weights=(0.0,)), "weights must be"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), windows=0), "windows must be"),
    (lambda: CapacityPlan(targets=(Target(url="http://127.0.0.1/"),), users=0), "users must be"),
    (lambda: asyncio.run(run_load(LoadPlan(targets=(Target.at("http://no.such.host/", 1, 1),)))), "resolves"),
]


@pytest.mark.parametrize(("build", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_value_names_itself_and_the_remedy(build: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build()  # type: ignore[operator] # A function without arguments.
