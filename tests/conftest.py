"""What all tests share: a reproducible Hypothesis, a clean environment, and both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings

settings.register_profile(
    "perfguard",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("perfguard")

Run = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine to its end on a new event loop."""


@pytest.fixture(autouse=True)
def _no_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """No switch of the machine that runs the tests reaches them."""
    monkeypatch.delenv("PERFGUARD_ENABLED", raising=False)
    monkeypatch.delenv("PERFGUARD_DRY_RUN", raising=False)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a new event loop, of either kind."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run_on_new_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)

    return run_on_new_loop
