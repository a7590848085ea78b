"""OpenTelemetry's own instrumentations, outside and inside of the guard: one server span either way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiInstrumentation
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiInstrumentation

import perfguard.asgi
import perfguard.wsgi
from perfguard.telemetry import names
from tests.asgi.messages import answering, http, request
from tests.telemetry.recording import Sdk, context_of, said
from tests.telemetry.test_wsgi_spans import start
from tests.wsgi import calls

SCOPE = http(query_string=b"", scheme="http", http_version="1.1", server=("127.0.0.1", 80))


def contrib_asgi(app: Any, sdk: Sdk) -> Any:
    return AsgiInstrumentation(app, tracer_provider=sdk.tracers, meter_provider=sdk.meters)


def contrib_wsgi(app: Any, sdk: Sdk) -> Any:
    return WsgiInstrumentation(app, tracer_provider=sdk.tracers, meter_provider=sdk.meters)


def ask_wsgi(app: Any) -> None:
    body = app(calls.environ(), start)
    assert b"".join(body) == b"ok"
    body.close()


def test_inside_of_the_guard_its_spans_are_below_the_guards() -> None:
    sdk = Sdk()
    app = perfguard.asgi.GuardMiddleware(contrib_asgi(answering(), sdk), telemetry=sdk.telemetry)
    asyncio.run(request(app, SCOPE))
    assert said(sdk.server)[names.RESULT] == "acquired"
    assert {context_of(span).trace_id for span in sdk.spans} == {context_of(sdk.server).trace_id}
    assert len(sdk.spans) > 1


def test_outside_of_the_guard_its_span_gets_the_attributes() -> None:
    sdk = Sdk()
    app = contrib_asgi(perfguard.asgi.GuardMiddleware(answering(), telemetry=sdk.telemetry), sdk)
    asyncio.run(request(app, SCOPE))
    assert sdk.server.instrumentation_scope is not None
    assert sdk.server.instrumentation_scope.name == "opentelemetry.instrumentation.asgi"
    assert said(sdk.server)[names.RESULT] == "acquired"
    assert said(sdk.server)[names.SERVICE_TIME] >= 0.0


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_wsgi_has_one_server_span_either_way(where: str) -> None:
    sdk = Sdk()
    if where == "inside":
        app: Any = perfguard.wsgi.GuardMiddleware(contrib_wsgi(calls.answering(), sdk), telemetry=sdk.telemetry)
    else:
        app = contrib_wsgi(perfguard.wsgi.GuardMiddleware(calls.answering(), telemetry=sdk.telemetry), sdk)
    ask_wsgi(app)
    assert said(sdk.server)[names.RESULT] == "acquired"
    assert {context_of(span).trace_id for span in sdk.spans} == {context_of(sdk.server).trace_id}
