"""The spans of requests whose routes the integrations know."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import perfguard.asgi
import perfguard_fastapi
import perfguard_starlette
from perfguard import ConfigurationError
from perfguard.telemetry import names
from perfguard.testing import ManualClock
from perfguard_flask import PerfGuard
from tests.telemetry.recording import Sdk, said, seconds


async def _ask(app: Any, *paths: str) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in paths:
            await client.get(path)


async def _ok(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def _run(app: Any, *paths: str) -> None:
    asyncio.run(_ask(app, *paths))


def test_starlette_names_spans_by_the_route_with_its_mounts() -> None:
    sdk = Sdk()
    app = Starlette(routes=[Mount("/shop", routes=[Route("/cart/{id}", _ok)])])
    app.add_middleware(perfguard_starlette.GuardMiddleware, telemetry=sdk.telemetry)
    _run(app, "/shop/cart/7", "/nowhere")
    assert [span.name for span in sdk.servers] == ["GET /shop/cart/{id}", "GET"]
    assert said(sdk.servers[0])[names.ROUTE] == "/shop/cart/{id}"


def test_fastapi_names_spans_by_the_route_with_its_routers() -> None:
    sdk = Sdk()
    router = APIRouter(prefix="/batch")

    @router.get("/{job}")
    async def job(job: int) -> int:
        return job

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(perfguard_fastapi.GuardMiddleware, telemetry=sdk.telemetry)
    _run(app, "/batch/7")
    assert sdk.server.name == "GET /batch/{job}"


def test_around_an_application_the_route_is_what_its_router_found() -> None:
    sdk = Sdk()
    app = Starlette(routes=[Route("/cart/{id}", _ok), Mount("/shop/{id}", routes=[Route("/x", _ok)])])
    _run(perfguard.asgi.GuardMiddleware(app, telemetry=sdk.telemetry), "/cart/7", "/shop/8/x")
    assert [span.name for span in sdk.servers] == ["GET /cart/{id}", "GET"]
    assert sdk.values(names.REQUEST_DURATION, names.ROUTE) == {"/cart/{id}": 1, None: 1}


def test_background_tasks_are_no_part_of_the_span_nor_of_the_metric() -> None:
    sdk, clock = Sdk(), ManualClock()

    async def endpoint(request: Request) -> PlainTextResponse:
        clock.advance(1.0)
        return PlainTextResponse("ok", background=BackgroundTask(clock.advance, 50.0))

    guard = perfguard.Guard(clock=clock)
    app = Starlette(routes=[Route("/", endpoint)])
    _run(perfguard.asgi.GuardMiddleware(app, guard, telemetry=sdk.telemetry), "/")
    assert seconds(sdk.server) == sdk.points(names.REQUEST_DURATION)[0].sum == 1.0


def test_flask_names_spans_by_the_rule() -> None:
    sdk = Sdk()
    app = Flask("shop")

    @app.get("/cart/<int:id>")
    def cart(id: int) -> str:  # noqa: A002
        return str(id)

    PerfGuard(app, telemetry=sdk.telemetry)
    app.test_client().get("/cart/7").close()
    assert sdk.server.name == "GET /cart/<int:id>"
    assert said(sdk.server)[names.STATUS_CODE] == 200


def test_flask_takes_it_from_the_configuration_as_well() -> None:
    app = Flask("shop")
    app.config["PERFGUARD_TELEMETRY"] = "no"
    with pytest.raises(ConfigurationError, match="PERFGUARD_TELEMETRY must be a Telemetry"):
        PerfGuard(app)
