"""Requests that wait for a thread behind others, and what the guard hears of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import httpx
import pytest

from perfguard import Guard, Limiter
from perfguard.events import Settled
from perfguard.limits import FixedLimit
from perfguard.testing import RecordingListener
from tests.manual_loop import turns


async def waits_of(app: Any, release: threading.Event, middleware: Callable[..., Any]) -> None:
    """Let two requests hold the only two threads until the release, and six more wait for that long.

    Each of the six waited at least from the last hand-over to the release, and at most
    for as long as it was served.
    """
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = 2
    heard = RecordingListener()
    guarded = middleware(app, Guard(Limiter(FixedLimit(100)), listeners=[heard]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://test") as client:
        requests = [asyncio.create_task(client.get("/")) for _ in range(8)]
        await turns(100)
        assert limiter.statistics().tasks_waiting == 6
        queued = time.monotonic()
        await asyncio.sleep(0.05)
        waited = time.monotonic() - queued
        release.set()
        assert [each.status_code for each in await asyncio.gather(*requests)] == [200] * 8
    settled = sorted(heard.of(Settled), key=lambda each: each.thread_time)
    assert [each.thread_time for each in settled[:2]] == pytest.approx([0.0, 0.0], abs=waited)
    assert all(waited <= each.thread_time <= each.service_time for each in settled[2:])
