"""The server span of an ASGI request: what it says, when it begins and ends, and under which parent."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import subprocess
import sys
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

from perfguard import Guard
from perfguard.asgi import GuardMiddleware
from perfguard.context import keep_trace, report_wait
from perfguard.outcome import Priority
from perfguard.telemetry import names
from perfguard.testing import ManualClock
from tests.asgi.messages import CONNECT, OK, WEBSOCKET, Receive, Send, answering, full_guard, http, refused, request
from tests.telemetry.recording import Sdk, context_of, said, seconds

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def serve(app: Any, scope: Any, sdk: Sdk, **options: Any) -> None:
    asyncio.run(request(GuardMiddleware(app, telemetry=sdk.telemetry, **options), scope))


def test_the_span_has_the_names_and_values_of_the_convention() -> None:
    sdk = Sdk()
    headers = [(b"host", b"shop.example:8443"), (b"user-agent", b"curl/8"), (b"accept", b"*/*")]
    scope = http("/cart/7", headers, query_string=b"a=b", scheme="https", http_version="1.1")
    serve(answering(), scope, sdk)
    span = sdk.server
    assert span.name == "GET"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert {name: value for name, value in said(span).items() if not name.startswith("perfguard.")} == {
        http_attributes.HTTP_REQUEST_METHOD: "GET",
        http_attributes.HTTP_RESPONSE_STATUS_CODE: 200,
        url_attributes.URL_SCHEME: "https",
        url_attributes.URL_PATH: "/cart/7",
        url_attributes.URL_QUERY: "a=b",
        server_attributes.SERVER_ADDRESS: "shop.example",
        server_attributes.SERVER_PORT: 8443,
        client_attributes.CLIENT_ADDRESS: "127.0.0.1",
        network_attributes.NETWORK_PROTOCOL_VERSION: "1.1",
        user_agent_attributes.USER_AGENT_ORIGINAL: "curl/8",
    }


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"shop", "shop", 80),
        (b"[::1]:8080", "::1", 8080),
        (b"[::1]", "::1", 80),
        (b"shop:99999999999999999999", "shop", 80),
        ("shop:١٢".encode(), "shop", 80),
        (b"shop:", "shop", 80),
    ],
    ids=["name", "v6 and port", "v6", "too long", "not ascii", "no port"],
)
def test_the_server_is_what_the_host_header_says(host: bytes, address: str, port: int) -> None:
    sdk = Sdk()
    serve(answering(), http("/", [(b"host", host)]), sdk)
    assert said(sdk.server)[names.SERVER_ADDRESS] == address
    assert said(sdk.server)[names.SERVER_PORT] == port


def test_secrets_in_a_query_are_redacted() -> None:
    sdk = Sdk()
    query = b"a=1&sig=x&X-Amz-Signature=y&design=z&X-Amz-Credential=&SIG=q"
    serve(answering(), http(query_string=query), sdk)
    expected = "a=1&sig=REDACTED&X-Amz-Signature=REDACTED&design=z&X-Amz-Credential=REDACTED&SIG=q"
    assert said(sdk.server)[names.QUERY] == expected


def test_a_method_that_is_not_known_is_named_in_one_attribute_alone() -> None:
    sdk = Sdk()
    serve(answering(), http() | {"method": "BREW"}, sdk)
    assert sdk.server.name == "HTTP"
    assert said(sdk.server)[names.METHOD] == "_OTHER"
    assert said(sdk.server)[names.METHOD_ORIGINAL] == "BREW"


def test_the_known_methods_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "BREW, POST")
    sdk = Sdk()
    serve(answering(), http() | {"method": "BREW"}, sdk)
    serve(answering(), http(), sdk)
    assert [span.name for span in sdk.servers] == ["BREW", "HTTP"]


def test_a_span_lasts_from_the_arrival_to_the_last_byte() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        clock.advance(1.0)
        await send(OK[0])
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        clock.advance(2.0)
        await send(OK[1])
        clock.advance(4.0)

    serve(app, http(), sdk, guard=Guard(clock=clock))
    assert seconds(sdk.server) == pytest.approx(3.0)
    assert said(sdk.server)[names.SERVICE_TIME] == pytest.approx(3.0)


def test_waits_that_are_told_are_apart_from_the_service() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        clock.advance(3.0)
        report_wait(1.0)
        await answering()(scope, receive, send)

    serve(app, http(), sdk, guard=Guard(clock=clock))
    assert said(sdk.server)[names.POOL_WAIT_TIME] == pytest.approx(1.0)
    assert said(sdk.server)[names.SERVICE_TIME] == pytest.approx(2.0)


def test_waits_that_overlap_count_no_longer_than_the_service() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        clock.advance(3.0)
        report_wait(2.0)
        report_wait(2.0)
        await answering()(scope, receive, send)

    serve(app, http(), sdk, guard=Guard(clock=clock))
    assert said(sdk.server)[names.POOL_WAIT_TIME] == pytest.approx(3.0)
    assert said(sdk.server)[names.SERVICE_TIME] == 0.0


def test_the_time_in_the_queue_is_told_by_part() -> None:
    sdk = Sdk()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry, timeout=5.0)
        async with middleware.guard.admit():
            waiting = asyncio.create_task(request(middleware, http()))
            await asyncio.sleep(0.02)
        await waiting

    asyncio.run(main())
    told = said(sdk.server)
    assert told[names.ADMISSION_TIME] >= 0.02
    assert told[names.QUEUE_TIME] == pytest.approx(told[names.ADMISSION_TIME] + told[names.KERNEL_TIME])
    assert told[names.QUEUE_TIME] + told[names.SERVICE_TIME] == pytest.approx(seconds(sdk.server), abs=1e-6)
    assert told[names.RESULT] == "acquired"
    assert told[names.PRIORITY] == "normal"
    assert 4.0 < told[names.DEADLINE_BUDGET] < 5.0


def test_the_time_with_a_proxy_is_outside_the_span() -> None:
    sdk = Sdk()
    stamp = b"t=%d" % (time.time_ns() // 1_000_000 - 2000)
    serve(answering(), http("/", [(b"x-request-start", stamp)]), sdk, trusted_proxies=["127.0.0.1"])
    told = said(sdk.server)
    assert told[names.UPSTREAM_TIME] == pytest.approx(2.0, abs=0.5)
    assert told[names.QUEUE_TIME] < 1.0
    assert seconds(sdk.server) < 1.0


def test_queue_and_service_are_spans_of_their_own_on_request() -> None:
    sdk, clock = Sdk(queue_spans=True), ManualClock()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        clock.advance(2.0)
        await answering()(scope, receive, send)

    serve(app, http(), sdk, guard=Guard(clock=clock))
    queue, service, server = sdk.spans
    assert [queue.name, service.name] == ["queue", "service"]
    assert queue.start_time == server.start_time
    assert queue.end_time == service.start_time
    assert service.end_time == server.end_time
    assert server.context is not None
    assert all(span.parent and span.parent.span_id == server.context.span_id for span in (queue, service))


def test_the_parent_comes_from_the_headers() -> None:
    sdk = Sdk()
    serve(answering(), http("/", [(b"traceparent", PARENT.encode())]), sdk)
    assert sdk.server.parent is not None
    assert sdk.server.parent.is_remote
    assert format(sdk.server.parent.span_id, "x") == "b7ad6b7169203331"


def test_spans_of_the_application_are_children() -> None:
    sdk = Sdk()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        with sdk.tracers.get_tracer("app").start_as_current_span("work"):
            await answering()(scope, receive, send)

    serve(app, http(), sdk)
    (work,) = [span for span in sdk.spans if span.name == "work"]
    assert work.parent == sdk.server.get_span_context()


def test_where_a_span_is_open_the_attributes_go_to_it() -> None:
    sdk = Sdk()

    async def main() -> None:
        with sdk.tracers.get_tracer("outer").start_as_current_span("outer", kind=SpanKind.SERVER):
            await request(GuardMiddleware(answering(), telemetry=sdk.telemetry), http())

    asyncio.run(main())
    assert sdk.server.name == "outer"
    assert said(sdk.server)[names.RESULT] == "acquired"
    assert said(sdk.server)[names.SERVICE_TIME] >= 0.0
    assert names.METHOD not in said(sdk.server)


def test_a_request_served_in_the_context_of_another_is_no_child_of_it() -> None:
    sdk = Sdk()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), telemetry=sdk.telemetry)
        context: list[contextvars.Context] = []

        async def first(scope: Any, receive: Receive, send: Send) -> None:
            context.append(contextvars.copy_context())
            await answering()(scope, receive, send)

        await request(GuardMiddleware(first, middleware.guard, telemetry=sdk.telemetry), http())
        await asyncio.create_task(request(middleware, http()), context=context[0])

    asyncio.run(main())
    assert len(sdk.servers) == 2
    assert [span.parent for span in sdk.servers] == [None, None]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(200, StatusCode.UNSET, None), (404, StatusCode.UNSET, None), (500, StatusCode.ERROR, "500")],
)
def test_the_status_follows_the_convention(status: int, code: StatusCode, kind: str | None) -> None:
    sdk = Sdk()
    serve(answering({"type": "http.response.start", "status": status, "headers": []}, OK[1]), http(), sdk)
    assert sdk.server.status.status_code is code
    assert said(sdk.server).get(error_attributes.ERROR_TYPE) == kind


def test_an_exception_is_the_type_of_the_error() -> None:
    sdk = Sdk()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        raise LookupError("nothing")

    with pytest.raises(LookupError):
        serve(app, http(), sdk)
    assert sdk.server.status.status_code is StatusCode.ERROR
    assert said(sdk.server)[names.ERROR_TYPE] == "LookupError"
    assert names.STATUS_CODE not in said(sdk.server)


def test_a_client_that_left_is_no_error() -> None:
    sdk = Sdk()

    async def main() -> None:
        async def app(scope: Any, receive: Receive, send: Send) -> None:
            await asyncio.sleep(60)

        task = asyncio.create_task(request(GuardMiddleware(app, telemetry=sdk.telemetry), http()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert sdk.server.status.status_code is StatusCode.UNSET
    assert names.ERROR_TYPE not in said(sdk.server)


def test_a_client_that_left_at_the_last_byte_is_no_error() -> None:
    sdk = Sdk()

    async def gone(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    async def main() -> None:
        with pytest.raises(BrokenPipeError):
            await GuardMiddleware(answering(), telemetry=sdk.telemetry)(http(), _nothing, gone)

    asyncio.run(main())
    assert sdk.server.status.status_code is StatusCode.UNSET


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request"}


def test_a_request_thrown_away_logs_no_failure_to_detach(caplog: pytest.LogCaptureFixture) -> None:
    sdk = Sdk()

    class Suspended:
        def __await__(self) -> Any:
            yield

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await Suspended()

    coroutine = GuardMiddleware(app, telemetry=sdk.telemetry)(http(), _nothing, _nothing)  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()

    async def main() -> None:
        contextvars.copy_context().run(coroutine.send, None)

    loop.run_until_complete(main())
    loop.close()
    with caplog.at_level(logging.DEBUG):
        coroutine.close()
    assert not caplog.records
    assert sdk.server.status.status_code is StatusCode.UNSET


def test_a_websocket_is_recorded_once_its_handshake_is_answered() -> None:
    sdk = Sdk()
    open_spans: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        open_spans.append(len(sdk.servers))

    async def main() -> None:
        await request(GuardMiddleware(app, telemetry=sdk.telemetry), WEBSOCKET | {"scheme": "ws"}, CONNECT)

    asyncio.run(main())
    assert open_spans == [1]
    assert said(sdk.server)[names.STATUS_CODE] == 101
    assert said(sdk.server)[names.SCHEME] == "ws"


def test_a_websocket_that_is_closed_at_once_is_forbidden() -> None:
    sdk = Sdk()
    close = {"type": "websocket.close"}
    asyncio.run(request(GuardMiddleware(answering(close), telemetry=sdk.telemetry), WEBSOCKET, CONNECT))
    assert said(sdk.server)[names.STATUS_CODE] == 403


def test_a_refusal_is_an_error_that_names_its_reason() -> None:
    sdk = Sdk()

    async def main() -> None:
        await refused(GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry), http())

    asyncio.run(main())
    told = said(sdk.server)
    assert told[names.ERROR_TYPE] == "perfguard.shed.queue_full"
    assert told[names.RESULT] == "rejected"
    assert told[names.REASON] == "queue_full"
    assert told[names.STATUS_CODE] == 503
    assert told[names.REFUSALS] == 1
    assert sdk.server.status.status_code is StatusCode.ERROR


def test_spans_of_refusals_are_few_and_say_how_many_they_stand_for() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(clock=clock), telemetry=sdk.telemetry)
        async with middleware.guard.admit():
            waiting = asyncio.create_task(middleware.guard.admit().acquire())
            await asyncio.sleep(0)
            for _ in range(50):
                await request(middleware, http())
            clock.advance(1.0)
            await request(middleware, http())
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert [said(span)[names.REFUSALS] for span in sdk.servers] == [1] * 10 + [41]
    assert sdk.values(names.REQUEST_DURATION, names.STATUS_CODE) == {503: 51}
    assert sdk.values(names.REQUESTS, names.RESULT)["rejected"] == 51


def test_a_request_given_up_in_the_queue_is_canceled() -> None:
    sdk = Sdk()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(), telemetry=sdk.telemetry)
        async with middleware.guard.admit():
            waiting = asyncio.create_task(request(middleware, http()))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert said(sdk.server)[names.RESULT] == "canceled"
    assert sdk.server.status.status_code is StatusCode.UNSET
    assert sdk.values(names.REQUESTS, names.RESULT)["canceled"] == 1


def test_a_dry_run_records_the_request_that_went_on() -> None:
    sdk = Sdk()

    async def main() -> None:
        middleware = GuardMiddleware(answering(), full_guard(dry_run=True), telemetry=sdk.telemetry)
        async with middleware.guard.admit(), middleware.guard.admit():
            await request(middleware, http())

    asyncio.run(main())
    assert said(sdk.server)[names.RESULT] == "acquired"
    assert said(sdk.server)[names.STATUS_CODE] == 200


def test_with_the_guard_off_requests_are_recorded_all_the_same() -> None:
    sdk = Sdk()
    serve(answering(), http(), sdk, guard=Guard(enabled=False))
    assert said(sdk.server)[names.STATUS_CODE] == 200
    assert names.RESULT not in said(sdk.server)
    assert sdk.values(names.REQUEST_DURATION, names.STATUS_CODE) == {200: 1}


class OnlyKept(Sampler):
    """Samples what is kept, and nothing else."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
        """Look at the attributes."""
        attributes = dict(arguments[4])
        self.seen.append(attributes)
        kept = names.KEPT in attributes
        return SamplingResult(Decision.RECORD_AND_SAMPLE if kept else Decision.DROP, attributes)

    def get_description(self) -> str:
        """Its name."""
        return "OnlyKept"


def test_the_sampler_sees_the_time_in_the_queue_and_the_result() -> None:
    sampler = OnlyKept()
    serve(answering(), http(), Sdk(sampler))
    (seen,) = sampler.seen
    assert isinstance(seen[names.QUEUE_TIME], float)
    assert seen[names.RESULT] == "acquired"


def test_a_trace_that_is_kept_is_recorded_though_it_was_not_sampled() -> None:
    sdk, clock = Sdk(OnlyKept()), ManualClock()
    traces: list[int] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        traces.append(trace.get_current_span().get_span_context().trace_id)
        clock.advance(2.0)
        keep_trace("cut")
        keep_trace("breaker_open")
        await answering()(scope, receive, send)

    serve(app, http(), sdk, guard=Guard(clock=clock))
    told = said(sdk.server)
    assert told[names.KEPT] == "cut"
    assert told[names.STATUS_CODE] == 200
    assert seconds(sdk.server) == pytest.approx(2.0)
    assert context_of(sdk.server).trace_id == traces[0]


def test_metrics_are_complete_where_nothing_is_sampled() -> None:
    sdk = Sdk(ALWAYS_OFF)
    for _ in range(3):
        serve(answering(), http(), sdk)
    assert not sdk.spans
    assert sdk.values(names.REQUEST_DURATION, names.STATUS_CODE) == {200: 3}


def test_a_failing_tracer_touches_no_request(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sampler):
        def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
            raise RuntimeError("broken")

        def get_description(self) -> str:
            return "broken"

    sdk = Sdk(Broken())
    middleware = GuardMiddleware(answering(), telemetry=sdk.telemetry)
    for _ in range(2):
        assert asyncio.run(request(middleware, http())) == OK
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["telemetry"]
    assert not sdk.telemetry.live


def test_priorities_are_told_by_name() -> None:
    sdk = Sdk()
    serve(answering(), http(), sdk, priority=lambda scope: Priority.CRITICAL)
    assert said(sdk.server)[names.PRIORITY] == "critical"


def test_live_requests_are_in_a_set_with_their_task_and_span() -> None:
    sdk = Sdk()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        (live,) = sdk.telemetry.live
        assert live.task is asyncio.current_task()
        assert live.span is trace.get_current_span()
        await answering()(scope, receive, send)

    serve(app, http(), sdk)
    assert not sdk.telemetry.live


def test_without_an_sdk_nothing_is_opened() -> None:
    spans: list[Any] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        spans.append(trace.get_current_span())
        await answering()(scope, receive, send)

    middleware = GuardMiddleware(app)
    asyncio.run(request(middleware, http()))
    assert spans == [trace.INVALID_SPAN]


def test_the_middleware_loads_opentelemetry_only_where_it_is_made() -> None:
    loaded = "any(name.startswith('opentelemetry') for name in sys.modules)"
    code = f"import sys, perfguard.asgi, perfguard.wsgi; sys.exit({loaded})"
    subprocess.run([sys.executable, "-c", code], check=True)
