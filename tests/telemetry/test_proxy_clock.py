"""Metrics of a proxy's clock, read by the SDK."""

from __future__ import annotations

import asyncio
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from perfguard._arrival import ProxyClock
from perfguard.asgi import GuardMiddleware
from perfguard.telemetry.proxy_clock import ProxyClockMetrics
from tests.asgi.messages import answering, http, request
from tests.telemetry.recording import Sdk

WALL = 1_700_000_000.0
OFFSET = "perfguard.queue.clock_offset"
REJECTED = "perfguard.queue.header.rejected"


def ask(clock: ProxyClock, host: str, stamp: bytes) -> None:
    clock.age({"client": (host, 1), "headers": [(b"x-request-start", stamp)]}, WALL)


def collected(clock: ProxyClock) -> dict[str, dict[Any, float]]:
    """The points of each metric, by the value of their one attribute."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    ProxyClockMetrics(provider.get_meter("test"), clock, wall=lambda: WALL)
    data = reader.get_metrics_data()
    provider.shutdown()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
    return {
        metric.name: {
            next(iter((point.attributes or {}).values())): point.value  # type: ignore[union-attr]
            for point in metric.data.data_points
        }
        for metric in metrics
    }


def test_the_offset_of_each_proxy_is_read_from_its_clock() -> None:
    clock = ProxyClock(["10.0.0.0/8"])
    ask(clock, "10.0.0.1", b"1699999999.75")
    ask(clock, "10.0.0.2", b"1700000002")
    assert collected(clock)[OFFSET] == {"10.0.0.1": 0.25, "10.0.0.2": -2.0}


def test_proxies_beyond_the_sixteenth_share_a_name() -> None:
    """Of theirs the worst is shown."""
    clock = ProxyClock(["10.0.0.0/8"])
    for number in range(40):
        ask(clock, f"10.0.0.{number}", str(1_700_000_000 + number).encode())
    offsets = collected(clock)[OFFSET]
    assert len(offsets) == 17
    assert offsets["_OTHER"] == -39.0


def test_rejected_stamps_are_counted_by_reason() -> None:
    clock = ProxyClock(["10.0.0.1"])
    for stamp in (b"1e400", "\u0661".encode() * 10, b"1600000000", b"1800000000"):
        ask(clock, "10.0.0.1", stamp)
    assert collected(clock)[REJECTED] == {"malformed": 2, "stale": 1, "future": 1}


def test_a_clock_that_saw_nothing_has_no_points() -> None:
    assert collected(ProxyClock(["10.0.0.1"])) == {}


def test_middleware_that_trusts_a_proxy_has_the_metrics_of_its_clock() -> None:
    sdk = Sdk()
    middleware = GuardMiddleware(answering(), telemetry=sdk.telemetry, trusted_proxies=["10.0.0.1"])
    stamped = {**http(), "client": ("10.0.0.1", 1), "headers": [(b"x-request-start", b"1600000000")]}
    asyncio.run(request(middleware, stamped))
    assert sdk.values(REJECTED, "perfguard.rejection.reason") == {"stale": 1}


def test_middleware_that_trusts_no_proxy_has_none_of_them() -> None:
    sdk = Sdk()
    asyncio.run(request(GuardMiddleware(answering(), telemetry=sdk.telemetry), http()))
    assert not {OFFSET, REJECTED} & set(sdk.metrics())
