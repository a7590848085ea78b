"""The metrics: names and units by the convention, series that stay few, and values read from the guard."""

from __future__ import annotations

import asyncio
from typing import Any

from opentelemetry.semconv._incubating.metrics import http_metrics as incubating
from opentelemetry.semconv.metrics import http_metrics
from opentelemetry.semconv.schemas import Schemas

from perfguard import Guard, KeyedLimiter
from perfguard.asgi import GuardMiddleware
from perfguard.limits import FixedLimit, Limiter
from perfguard.targets import TARGET, Target
from perfguard.telemetry import names
from perfguard.telemetry._labels import MOST_ROUTES
from perfguard.testing import ManualClock
from tests.asgi.messages import OK, Receive, Send, answering, full_guard, http, request
from tests.telemetry.recording import Sdk, context_of, said, seconds

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def serve(scope: Any, sdk: Sdk, app: Any = None, **options: Any) -> None:
    asyncio.run(request(GuardMiddleware(app or answering(), telemetry=sdk.telemetry, **options), scope))


async def _queued(sdk: Sdk) -> None:
    """Serve a request that stands in the admission queue for 10 ms."""
    middleware = GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry)
    async with middleware.guard.admit():
        waiting = asyncio.create_task(request(middleware, http()))
        await asyncio.sleep(0.01)
    await waiting


def test_names_and_units_are_those_of_the_convention() -> None:
    sdk = Sdk()
    serve(http(), sdk)
    duration = sdk.metrics()[http_metrics.HTTP_SERVER_REQUEST_DURATION]
    assert duration.unit == "s"
    assert duration.data.data_points[0].explicit_bounds == BUCKETS
    active = sdk.metrics()[incubating.HTTP_SERVER_ACTIVE_REQUESTS]
    assert active.unit == "{request}"
    assert not active.data.is_monotonic
    assert names.SCHEMA_URL in {schema.value for schema in Schemas}


def test_every_metric_is_there_after_one_request() -> None:
    sdk = Sdk()
    asyncio.run(_queued(sdk))
    assert {metric: sdk.metrics()[metric].unit for metric in sdk.metrics()} == {
        "http.server.request.duration": "s",
        "http.server.active_requests": "{request}",
        "perfguard.request.time_in_queue": "s",
        "perfguard.request.service.duration": "s",
        "perfguard.queue.wait": "s",
        "perfguard.queued_requests": "{request}",
        "perfguard.active_leases": "{request}",
        "perfguard.limit": "{request}",
        "perfguard.requests": "{request}",
        "perfguard.backpressure.state": "1",
    }


def test_the_duration_equals_that_of_the_span_and_its_parts() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        clock.advance(2.0)
        await answering()(scope, receive, send)

    serve(http(), sdk, app, guard=Guard(clock=clock))
    (duration,), (service,) = sdk.points(names.REQUEST_DURATION), sdk.points(names.SERVICE_DURATION)
    assert duration.sum == seconds(sdk.server) == service.sum == 2.0


def test_a_wait_in_one_queue_is_recorded_by_its_name() -> None:
    sdk = Sdk()
    asyncio.run(_queued(sdk))
    assert sdk.values(names.QUEUE_WAIT, names.QUEUE_NAME)["admission"] == 1


def test_the_time_in_the_queue_is_recorded_of_those_alone_that_stood_there() -> None:
    sdk = Sdk()
    asyncio.run(_queued(sdk))
    serve(http(), sdk, guard=Guard(clock=ManualClock()))
    assert sum(point.count for point in sdk.points(names.TIME_IN_QUEUE)) == 1
    assert sum(point.count for point in sdk.points(names.REQUEST_DURATION)) == 2


def test_requests_under_way_are_read_from_the_guard_and_the_live_set() -> None:
    sdk = Sdk()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        assert sdk.values(names.ACTIVE_REQUESTS, names.METHOD) == {"GET": 1}
        assert sdk.values(names.ACTIVE_LEASES, names.GUARD) == {"shop": 1}
        await answering()(scope, receive, send)

    serve(http(), sdk, app, guard=Guard(name="shop"))
    assert sdk.values(names.ACTIVE_REQUESTS, names.METHOD) == {"GET": 0}
    assert sdk.values(names.ACTIVE_LEASES, names.GUARD) == {"shop": 0}
    assert sdk.values(names.STATE, names.STATE) == {"normal": 1, "pushback": 0, "shedding": 0}


def test_two_guards_have_series_of_their_own() -> None:
    sdk = Sdk()
    for name in ("one", "two"):
        serve(http(), sdk, guard=Guard(name=name))
    assert sdk.values(names.LIMIT, names.GUARD).keys() == {"one", "two"}
    assert sum(point.value for point in sdk.points(names.REQUESTS)) == 2


def test_exemplars_carry_the_trace() -> None:
    sdk = Sdk()
    asyncio.run(_queued(sdk))
    metrics, context = sdk.metrics(), context_of(sdk.server)
    for metric in (names.REQUEST_DURATION, names.TIME_IN_QUEUE, names.SERVICE_DURATION):
        (exemplar,) = metrics[metric].data.data_points[0].exemplars
        assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


def test_random_paths_methods_and_hosts_make_no_series() -> None:
    sdk = Sdk()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), telemetry=sdk.telemetry)
        for number in range(200):
            scope = http(f"/{number}", [(b"host", b"h%d" % number)], scheme=f"s{number}", http_version=f"{number}.1")
            await request(middleware, scope | {"method": f"M{number}"})

    asyncio.run(main())
    assert len(sdk.points(names.REQUEST_DURATION)) <= 2
    assert len(sdk.points(names.ACTIVE_REQUESTS)) == 1


def test_routes_beyond_the_first_hundred_share_one_series() -> None:
    sdk = Sdk()

    async def main() -> None:
        guard = Guard(KeyedLimiter(max_keys=1000))
        middleware = GuardMiddleware(answering(), guard, telemetry=sdk.telemetry, key=lambda scope: scope["path"])
        for number in range(MOST_ROUTES + 50):
            await request(middleware, http(f"/{number}") | {TARGET: Target(key=f"/{number}")})

    asyncio.run(main())
    counts = sdk.values(names.REQUEST_DURATION, names.ROUTE)
    assert len(counts) == MOST_ROUTES + 1
    assert counts["_OTHER"] == 50
    assert len(sdk.points(names.LIMIT)) == MOST_ROUTES + 1


def test_a_thousand_interleaved_requests_carry_their_own_values() -> None:
    sdk = Sdk()
    clock = ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        number = int(scope["path"].rpartition("/")[2])
        for _ in range(number % 7):
            await asyncio.sleep(0)
        start = {"type": "http.response.start", "status": 200 + number % 100, "headers": []}
        await send(start)
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"x" * number, "more_body": True})
        await asyncio.sleep(0)
        await send(OK[1])

    async def main() -> None:
        middleware = GuardMiddleware(app, Guard(Limiter(FixedLimit(1000)), clock=clock), telemetry=sdk.telemetry)

        async def one(number: int) -> None:
            agent = [(b"user-agent", b"agent %d" % number)]
            target = Target(key=f"/r{number % 50}/{{n}}")
            await request(middleware, http(f"/{number}", agent, query_string=b"n=%d" % number) | {TARGET: target})

        await asyncio.gather(*(one(number) for number in range(1000)))

    asyncio.run(main())
    assert len(sdk.servers) == 1000
    for span in sdk.servers:
        told = said(span)
        number = int(told[names.PATH][1:])
        assert told[names.QUERY] == f"n={number}"
        assert told[names.USER_AGENT] == f"agent {number}"
        assert told[names.STATUS_CODE] == 200 + number % 100
        assert span.name == f"GET /r{number % 50}/{{n}}"
    assert sum(sdk.values(names.REQUEST_DURATION, names.ROUTE).values()) <= 1000
    assert sum(point.count for point in sdk.points(names.REQUEST_DURATION)) == 1000
    assert not sdk.telemetry.live
