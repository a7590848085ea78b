"""The parts of a request's time add up to what a client sees that keeps to its schedule."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from perfguard.telemetry import names
from tests.servers import Running, read_all, running, until

UVICORN = ["-m", "uvicorn", "tests.telemetry.timed_app:asgi", "--port", "{port}", "--no-access-log"]
GUNICORN = ["-m", "gunicorn", "tests.telemetry.timed_app:wsgi", "-b", "127.0.0.1:{port}", "--workers", "1"]
SERVERS = {
    "uvicorn uvloop": [*UVICORN, "--loop", "uvloop"],
    "uvicorn asyncio": [*UVICORN, "--loop", "asyncio", "--http", "h11"],
    "gunicorn sync": GUNICORN,
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "16"],
}
REQUESTS = 20
EVERY = 0.005
"""Seconds between two requests: more than the server can take, so that a queue stands."""

PARTS = names.QUEUE_TIME, names.POOL_WAIT_TIME, names.SERVICE_TIME


def seen(server: Running, path: str) -> dict[str, float]:
    """Send requests on a schedule, none of which waits for an answer; return the seconds from each intended instant."""
    start = time.monotonic() + 0.2
    took: dict[str, float] = {}

    def ask(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 20.0) as client:
            intended = start + number * EVERY
            time.sleep(max(0.0, intended - time.monotonic()))
            head = f"GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: {number}\r\nConnection: close\r\n\r\n"
            client.sendall(head.encode())
            read_all(client)
            took[str(number)] = time.monotonic() - intended

    threads = [threading.Thread(target=ask, args=[number]) for number in range(REQUESTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def told(folder: Path) -> dict[str, dict[str, float]]:
    """The attributes of the spans of those requests, by the user agent."""
    lines = (folder / "spans.jsonl").read_text().splitlines()
    spans = [json.loads(line) for line in lines]
    return {span[names.USER_AGENT]: span for span in spans if span.get(names.USER_AGENT, "").isdigit()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "path", "part"),
    [
        ("uvicorn uvloop", "/cpu", names.QUEUE_TIME),
        ("uvicorn asyncio", "/cpu", names.QUEUE_TIME),
        ("uvicorn uvloop", "/pool", names.POOL_WAIT_TIME),
        ("uvicorn uvloop", "/threads", names.THREAD_POOL_TIME),
        ("uvicorn asyncio", "/threads", names.THREAD_POOL_TIME),
        ("gunicorn sync", "/cpu", names.KERNEL_TIME),
        ("gunicorn gthread", "/pool", names.POOL_WAIT_TIME),
    ],
)
def test_the_parts_add_up_to_what_a_client_sees(server: str, path: str, part: str, tmp_path: Path) -> None:
    with running(SERVERS[server], tmp_path) as started:
        took = seen(started, path)
        until(lambda: len(told(tmp_path)) == REQUESTS, "all spans are there")
    spans = told(tmp_path)
    sums = {number: sum(span.get(each, 0.0) for each in PARTS) for number, span in spans.items()}
    # A machine that others use delays one end or the other now and then, after the stamp.
    errors = [abs(sums[number] - took[number]) / max(0.005, 0.05 * took[number]) for number in took]
    assert sorted(errors)[REQUESTS * 8 // 10] <= 1.0, sorted(zip(took.values(), sums.values(), strict=True))
    # And most of it was waiting, for what the handler is bound by.
    assert max(span.get(part, 0.0) for span in spans.values()) >= 0.05
