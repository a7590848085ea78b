"""The server span of a WSGI request, to the close of its body."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from perfguard import Guard
from perfguard.telemetry import names
from perfguard.testing import ManualClock
from perfguard.wsgi import GuardMiddleware
from tests.telemetry.recording import Sdk, said, seconds
from tests.wsgi.calls import Environ, StartResponse, answering, environ


def serve(app: Any, sdk: Sdk, request: Environ | None = None, **options: Any) -> bytes:
    middleware = GuardMiddleware(app, telemetry=sdk.telemetry, **options)
    body = middleware(request or environ(), start)
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def test_the_span_has_the_names_and_values_of_the_convention() -> None:
    sdk = Sdk()
    asked = environ(
        "/cart/7",
        QUERY_STRING="a=b&sig=x",
        HTTP_HOST="shop.example:8443",
        HTTP_USER_AGENT="curl/8",
        SERVER_PROTOCOL="HTTP/1.1",
        SCRIPT_NAME="/shop",
    )
    assert serve(answering(), sdk, asked) == b"ok"
    assert sdk.server.name == "GET"
    assert {name: value for name, value in said(sdk.server).items() if not name.startswith("perfguard.")} == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/shop/cart/7",
        "url.query": "a=b&sig=REDACTED",
        "server.address": "shop.example",
        "server.port": 8443,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
    }


def test_a_path_is_the_text_behind_the_bytes() -> None:
    sdk = Sdk()
    serve(answering(), sdk, environ("/ü".encode().decode("latin-1")))
    assert said(sdk.server)[names.PATH] == "/ü"


def start(*_: Any) -> Any:
    """The server's `start_response`, which sends nowhere."""


class Parts:
    """A body of three parts, each of which takes a second."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(3):
            self._clock.advance(1.0)
            yield b"part"


def test_the_span_and_the_metric_last_to_the_end_of_a_stream() -> None:
    sdk, clock = Sdk(), ManualClock()
    serve(answering(lambda: Parts(clock)), sdk, guard=Guard(clock=clock))
    assert seconds(sdk.server) == pytest.approx(3.0)
    assert sdk.points(names.REQUEST_DURATION)[0].sum == pytest.approx(3.0)


def test_a_body_that_was_dropped_ends_the_span() -> None:
    sdk, clock = Sdk(), ManualClock()
    body: Any = GuardMiddleware(answering(lambda: Parts(clock)), telemetry=sdk.telemetry)(environ(), start)
    next(iter(body))
    del body
    assert sdk.server.status.status_code is StatusCode.UNSET
    assert not sdk.telemetry.live


def test_parts_are_produced_under_the_span_and_leave_no_trace_of_it() -> None:
    sdk = Sdk()
    current: list[Any] = []

    def parts() -> Iterator[bytes]:
        for _ in range(2):
            current.append(trace.get_current_span().get_span_context())
            yield b"part"

    middleware = GuardMiddleware(answering(parts), telemetry=sdk.telemetry)
    body: Any = middleware(environ(), start)
    for _ in body:
        assert trace.get_current_span() is trace.INVALID_SPAN
    body.close()
    assert current == [sdk.server.get_span_context()] * 2


def test_a_body_closed_on_another_thread_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    sdk, clock = Sdk(), ManualClock()
    body: Any = GuardMiddleware(answering(lambda: Parts(clock)), telemetry=sdk.telemetry)(environ(), start)
    next(body)
    other = threading.Thread(target=body.close)
    other.start()
    other.join()
    assert not caplog.records
    assert len(sdk.servers) == 1


def test_a_body_that_is_whole_keeps_its_length() -> None:
    sdk = Sdk()
    body: Any = GuardMiddleware(answering(), telemetry=sdk.telemetry)(environ(), start)
    assert len(body) == 1
    assert not sdk.servers
    body.close()
    assert len(sdk.servers) == 1


def test_a_file_reaches_the_server_as_it_is() -> None:
    class Wrapper:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"file"])

    sdk = Sdk()
    asked = environ() | {"wsgi.file_wrapper": Wrapper}
    app = answering(lambda: Wrapper(None))
    body = GuardMiddleware(app, telemetry=sdk.telemetry)(asked, start)
    assert isinstance(body, Wrapper)
    assert len(sdk.servers) == 1


@pytest.mark.parametrize("when", ["called", "iterated"])
def test_an_exception_is_the_type_of_the_error(when: str) -> None:
    sdk = Sdk()

    def app(request: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if when == "called":
            raise LookupError
        start_response("200 OK", [])
        return parts()

    def parts() -> Iterator[bytes]:
        raise LookupError
        yield b""

    with pytest.raises(LookupError):
        serve(app, sdk)
    assert said(sdk.server)[names.ERROR_TYPE] == "LookupError"
    assert sdk.server.status.status_code is StatusCode.ERROR


def test_a_refusal_names_its_reason() -> None:
    sdk = Sdk()
    stamp = f"t={time.time_ns() // 1_000_000 - 5000}"
    late = environ(HTTP_X_REQUEST_START=stamp)
    serve(answering(), sdk, late, timeout=1.0, trusted_proxies=["127.0.0.1"])
    told = said(sdk.server)
    assert told[names.ERROR_TYPE] == "perfguard.shed.deadline"
    assert told[names.RESULT] == "expired"
    assert told[names.STATUS_CODE] == 503
    assert sdk.values(names.REQUESTS, names.REASON)["deadline"] == 1


def test_the_parent_comes_from_the_headers() -> None:
    sdk = Sdk()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    serve(answering(), sdk, environ(HTTP_TRACEPARENT=parent))
    assert sdk.server.parent is not None
    assert format(sdk.server.parent.span_id, "x") == "b7ad6b7169203331"
