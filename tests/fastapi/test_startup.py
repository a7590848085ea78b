"""A mistake in the environment or in the arguments: the server does not start, and says why."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import perfguard.asgi
import perfguard_fastapi
from perfguard import ConfigurationError
from tests.asgi.messages import request

APP = """
from fastapi import FastAPI
from {module} import GuardMiddleware
app = FastAPI()
app.add_middleware(GuardMiddleware{arguments})
"""

MIDDLEWARE = pytest.mark.parametrize(
    "middleware", [perfguard.asgi.GuardMiddleware, perfguard_fastapi.GuardMiddleware], ids=["asgi", "fastapi"]
)


def served(folder: Path, module: str, arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start uvicorn, which ends by itself where the application does not start."""
    (folder / "app.py").write_text(APP.format(module=module, arguments=arguments))
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", "--app-dir", str(folder)]
    variables = {**os.environ, **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


def lazily(middleware: Any, **arguments: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def answer() -> str:
        return "ok"

    app.add_middleware(middleware, **arguments)
    return app


async def get(app: Any) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get("/")).status_code


@pytest.mark.parametrize("module", ["perfguard.asgi", "perfguard_fastapi"])
@pytest.mark.parametrize("variable", ["PERFGUARD_ENABLED", "PERFGUARD_DRY_RUN"])
def test_a_server_does_not_start_with_a_word_it_does_not_know(tmp_path: Path, module: str, variable: str) -> None:
    """Rather than to fail at every request."""
    done = served(tmp_path, module, "", **{variable: "nope"})

    assert done.returncode != 0
    assert f"{variable} must be 1 or 0 in the environment" in done.stderr


@pytest.mark.parametrize("module", ["perfguard.asgi", "perfguard_fastapi"])
def test_a_server_does_not_start_with_a_wrong_argument(tmp_path: Path, module: str) -> None:
    """Though Starlette builds middleware when the server already asks for the start."""
    done = served(tmp_path, module, ', timeout="2s"')

    assert done.returncode != 0
    assert "perfguard: timeout must be a positive number of seconds, got '2s'" in done.stderr


@MIDDLEWARE
def test_the_start_fails_for_what_only_shows_when_it_is_built(middleware: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the variables are read from a file after the import."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "nope")
    sent = asyncio.run(request(lazily(middleware), {"type": "lifespan"}, {"type": "lifespan.startup"}))

    assert [each["type"] for each in sent] == ["lifespan.startup.failed"]
    assert "PERFGUARD_ENABLED must be 1 or 0" in sent[0]["message"]


@MIDDLEWARE
def test_a_mistake_of_the_operator_takes_no_request_down(
    middleware: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the server asks for no start: it is logged once, and requests pass."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "nope")
    app = lazily(middleware)
    with caplog.at_level(logging.ERROR, "perfguard"):
        assert [asyncio.run(get(app)) for _ in range(3)] == [200] * 3

    assert len(caplog.records) == 1
    assert "requests pass unguarded" in caplog.text


@MIDDLEWARE
def test_a_mistake_of_the_code_shows_at_the_first_request_of_its_tests(middleware: Any) -> None:
    """Their clients ask for no start either."""
    with pytest.raises(ConfigurationError, match="timeout must be"):
        asyncio.run(get(lazily(middleware, timeout="2s")))


def test_the_number_of_keys_is_checked_at_the_start_too() -> None:
    """It is no argument of the inner middleware."""
    app = lazily(perfguard_fastapi.GuardMiddleware, max_keys=0)
    sent = asyncio.run(request(app, {"type": "lifespan"}, {"type": "lifespan.startup"}))

    assert sent == [{"type": "lifespan.startup.failed", "message": "perfguard: max_keys must be at least 1, got 0"}]


@MIDDLEWARE
def test_around_an_application_a_mistake_is_raised_at_once(middleware: Any) -> None:
    """There an error reaches whoever made it."""
    with pytest.raises(ConfigurationError, match="timeout must be"):
        middleware(FastAPI(), timeout="2s")
