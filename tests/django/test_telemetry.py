"""The spans of Django's requests, of either colour and around the application."""

from __future__ import annotations

import asyncio

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from opentelemetry.trace import SpanKind, StatusCode

import perfguard_django.asgi
import perfguard_django.wsgi
from perfguard import ConfigurationError
from perfguard.telemetry import names
from perfguard_django.options import options
from tests.django.driving import ask, ask_asgi, guarded, guarded_asgi, project
from tests.telemetry.recording import Sdk, said

ROUTE = "GET /important/<int:pk>/"


def test_a_request_is_recorded_under_its_route() -> None:
    sdk = Sdk()
    handler, _ = guarded(TELEMETRY=sdk.telemetry)
    assert ask(handler, "/important/7/").status == 200
    assert sdk.server.name == ROUTE
    assert said(sdk.server)[names.PATH] == "/important/7/"
    assert said(sdk.server)[names.STATUS_CODE] == 200


def test_so_it_is_in_the_asynchronous_colour() -> None:
    sdk = Sdk()
    handler, _ = guarded_asgi(TELEMETRY=sdk.telemetry)
    assert asyncio.run(ask_asgi(handler, "/important/7/")).status == 200
    assert sdk.server.name == ROUTE
    assert said(sdk.server)[names.SCHEME] == "http"


@pytest.mark.parametrize("path", ["/stream/", "/stream-empty/"])
def test_a_stream_is_recorded_at_its_end(path: str) -> None:
    sdk = Sdk()
    handler, _ = guarded(TELEMETRY=sdk.telemetry)
    ask(handler, path)
    assert sdk.server.name == f"GET {path}"
    assert not sdk.telemetry.live


def test_so_is_an_asynchronous_stream() -> None:
    sdk = Sdk()
    handler, _ = guarded_asgi(TELEMETRY=sdk.telemetry)
    asyncio.run(ask_asgi(handler, "/stream-async/"))
    assert sdk.server.name == "GET /stream-async/"


def test_an_error_of_a_view_is_one_of_the_span() -> None:
    sdk = Sdk()
    handler, _ = guarded(TELEMETRY=sdk.telemetry)
    ask(handler, "/boom/")
    assert sdk.server.status.status_code is StatusCode.ERROR
    assert said(sdk.server)[names.ERROR_TYPE] == "500"


def test_around_the_application_there_is_one_server_span() -> None:
    sdk = Sdk()
    with project("perfguard_django.GuardMiddleware", TELEMETRY=sdk.telemetry):
        wsgi = perfguard_django.wsgi.GuardMiddleware(WSGIHandler())
        asgi = perfguard_django.asgi.GuardMiddleware(ASGIHandler())
        ask(wsgi, "/important/7/")
        asyncio.run(ask_asgi(asgi, "/important/7/"))
    assert [(span.name, span.kind) for span in sdk.spans] == [(ROUTE, SpanKind.SERVER)] * 2


def test_the_setting_must_be_a_telemetry_or_a_bool() -> None:
    with pytest.raises(ConfigurationError, match="TELEMETRY"):
        options({"TELEMETRY": 1})
