"""Applications that are bound by the CPU, by a pool and by threads, with each span written to a file."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

import perfguard.asgi
import perfguard.wsgi
from perfguard import AdmissionQueue, Guard, Limiter
from perfguard.context import report_wait
from perfguard.limits import FixedLimit
from perfguard.telemetry import Telemetry
from perfguard.threads import SyncToAsync

SERVICE = 0.02
"""Seconds of work of each request."""


class ToFile(SpanExporter):
    """Appends the attributes of each span to `spans.jsonl`."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write them."""
        with Path("spans.jsonl").open("a") as file:
            file.writelines(json.dumps(dict(span.attributes or {})) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def telemetry() -> Telemetry:
    """What writes spans to the file."""
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ToFile()))
    return Telemetry(tracers)


def guard() -> Guard:
    """A guard that refuses nobody in the time of a test."""
    queue = AdmissionQueue(target=60.0, interval=60.0, max_wait=60.0, min_length=1000, max_length=1000)
    return Guard(Limiter(FixedLimit(1000), queue))


def burn() -> None:
    """Compute for as long as a request takes."""
    until = time.perf_counter() + SERVICE
    while time.perf_counter() < until:
        pass


_pool = asyncio.Semaphore(2)
_threads = ThreadPoolExecutor(2)


async def _cpu() -> None:
    burn()


async def _pooled() -> None:
    since = time.monotonic()
    async with _pool:
        report_wait(time.monotonic() - since)
        await asyncio.sleep(SERVICE)


async def _threaded() -> None:
    await SyncToAsync(time.sleep, thread_sensitive=False, executor=_threads)(SERVICE)


_WORK = {"/cpu": _cpu, "/pool": _pooled, "/threads": _threaded}


async def _served(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        if scope["path"] in _WORK:
            await _WORK[scope["path"]]()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


_locks = threading.Semaphore(2)


def _answered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/cpu":
        burn()
    elif path == "/pool":
        since = time.monotonic()
        with _locks:
            report_wait(time.monotonic() - since)
            time.sleep(SERVICE)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


asgi = perfguard.asgi.GuardMiddleware(_served, guard(), telemetry=telemetry())
wsgi = perfguard.wsgi.GuardMiddleware(_answered, guard(), telemetry=telemetry())
