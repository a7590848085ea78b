"""What waits is exported before an ASGI application's last message to its server."""

from __future__ import annotations

import pytest

from tests.telemetry.programs import run
from tests.telemetry.receiver import Receiver

LIFESPAN = """
import asyncio
from perfguard.asgi import GuardMiddleware
async def bare(scope, receive, send):
    await send({"type": "lifespan.startup.complete"})
    work(3)
    await send({"type": LAST})
async def lived(app):
    told = []
    async def send(message):
        told.append((message["type"], handle.exported if handle else None))
    await app({"type": "lifespan"}, None, send)
    return told
"""


@pytest.mark.parametrize("last", ["lifespan.shutdown.complete", "lifespan.shutdown.failed"])
def test_what_waits_is_exported_before_the_last_message(last: str) -> None:
    code = f"LAST = {last!r}" + LIFESPAN + "handle = configure(); said(told=asyncio.run(lived(GuardMiddleware(bare))))"
    with Receiver() as receiver:
        said, log = run(code, receiver.url)
    assert (said, log) == ({"told": [["lifespan.startup.complete", 0], [last, 3]]}, "")


def test_without_configure_nothing_waits() -> None:
    code = "LAST = 'lifespan.shutdown.complete'" + LIFESPAN
    said, log = run(code + "handle = None; said(told=asyncio.run(lived(GuardMiddleware(bare))))")
    assert (said, log) == (
        {"told": [["lifespan.startup.complete", None], ["lifespan.shutdown.complete", None]]},
        "",
    )


def test_a_collector_that_hangs_holds_the_last_message_back_for_a_while_only() -> None:
    code = "LAST = 'lifespan.shutdown.complete'" + LIFESPAN
    with Receiver(0) as receiver:
        said, log = run(
            code + "handle = configure(); said(told=asyncio.run(lived(GuardMiddleware(bare))))", receiver.url
        )
    assert [kind for kind, _ in said["told"]] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert "3 spans were lost" in log


def test_an_export_that_fails_holds_back_no_message_and_is_told() -> None:
    code = "LAST = 'lifespan.shutdown.complete'" + LIFESPAN
    broken = "handle = configure(); handle.force_flush = None; said(told=asyncio.run(lived(GuardMiddleware(bare))))"
    with Receiver() as receiver:
        said, log = run(code + broken, receiver.url)
    assert [kind for kind, _ in said["told"]] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert "the last export" in log
