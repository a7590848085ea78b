"""Which requests of a real guard are recorded, where the root sampler takes none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.trace import SpanKind

from perfguard.asgi import GuardMiddleware
from perfguard.context import keep_trace
from perfguard.telemetry import PerfguardSampler, names
from perfguard.testing import ManualClock
from tests.asgi.messages import App, Receive, Send, answering, full_guard, http, refused, request
from tests.telemetry.recording import Sdk, context_of, said

UNSAMPLED = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


def sdk_of(root: Sampler = ALWAYS_OFF) -> Sdk:
    return Sdk(PerfguardSampler(root, late=0.1))


async def waiting(middleware: GuardMiddleware, clock: ManualClock, seconds: float, scope: Any) -> asyncio.Task[Any]:
    """Let a request wait in the queue for a while, and then start."""
    async with middleware.guard.admit():
        asked = asyncio.create_task(request(middleware, scope))
        await asyncio.sleep(0)
        clock.advance(seconds)
    return asked


def serve_after(seconds: float, sdk: Sdk, app: App | None = None, scope: Any = None) -> None:
    async def main() -> None:
        clock = ManualClock()
        middleware = GuardMiddleware(app or answering(), full_guard(clock=clock), telemetry=sdk.telemetry)
        await (await waiting(middleware, clock, seconds, scope or http()))

    asyncio.run(main())


@pytest.mark.parametrize(("seconds", "recorded"), [(0.099, 0), (0.101, 1)])
def test_a_request_is_recorded_from_a_wait_on_that_counts_as_late(seconds: float, recorded: int) -> None:
    sdk = sdk_of()
    serve_after(seconds, sdk)
    assert len(sdk.servers) == recorded
    assert sdk.values(names.REQUEST_DURATION, names.STATUS_CODE) == {200: 1}


def test_a_late_request_is_recorded_though_its_caller_is_not() -> None:
    sdk = sdk_of(ParentBased(ALWAYS_OFF))
    serve_after(0.2, sdk, scope=http(headers=[UNSAMPLED]))
    assert f"{context_of(sdk.server).trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"


def test_what_a_late_request_does_is_recorded_under_a_root_that_follows_the_parent() -> None:
    sdk = sdk_of(ParentBased(ALWAYS_OFF))

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        with sdk.tracers.get_tracer("app").start_as_current_span("query"):
            await answering()(scope, receive, send)

    serve_after(0.2, sdk, app)
    assert {span.name for span in sdk.spans} == {"GET", "query"}


def test_a_refused_request_is_recorded() -> None:
    sdk = sdk_of()
    asyncio.run(refused(GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry), http()))
    assert said(sdk.server)[names.RESULT] == "rejected"


def test_a_request_that_its_client_gave_up_in_the_queue_is_recorded() -> None:
    sdk = sdk_of()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry)
        async with middleware.guard.admit():
            asked = asyncio.create_task(request(middleware, http()))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    asyncio.run(main())
    assert said(sdk.server)[names.RESULT] == "canceled"


def test_a_request_that_is_kept_is_recorded_as_one_span() -> None:
    sdk = sdk_of(ParentBased(ALWAYS_OFF))

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        with sdk.tracers.get_tracer("app").start_as_current_span("query"):
            keep_trace("breaker_open")
        await answering()(scope, receive, send)

    serve_after(0.0, sdk, app)
    assert [span.kind for span in sdk.spans] == [SpanKind.SERVER]
    assert said(sdk.server)[names.KEPT] == "breaker_open"


def test_the_metrics_are_complete_whatever_is_recorded() -> None:
    sdk = sdk_of()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry)
        for _ in range(20):
            await request(middleware, http())

    asyncio.run(main())
    assert not sdk.spans
    assert sdk.values(names.REQUEST_DURATION, names.STATUS_CODE) == {200: 20}
