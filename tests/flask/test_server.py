"""Flask under a real gunicorn: a saturated route beside a fast one."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

FOLDER = Path(__file__).parent


@contextmanager
def _gunicorn(*options: str) -> Iterator[str]:
    """Yield the address of a server with one worker."""
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(FOLDER), *options]
    with subprocess.Popen([*command, "gunicorn_app:app"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield next(found[0] for line in server.stderr if (found := re.search(r"http://[\d.:]+", line)))
        finally:
            server.terminate()
            server.stderr.read()
    assert server.returncode == 0


def _get(url: str) -> int:
    response = httpx.get(url, timeout=60)
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    return response.status_code


def _idle_snapshot(url: str) -> dict[str, Any]:
    """Return the state once nothing is in flight, soon after the last answer was sent."""
    snapshots = (httpx.get(f"{url}/guard", timeout=60).json() for _ in range(1000))
    idle: dict[str, Any] = next(each for each in snapshots if not each["in_flight"])
    return idle


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_fast_route_beside_a_saturated_one_is_not_shed_by_threads(options: tuple[str, ...]) -> None:
    """While the slow route stands full and refuses, every request to the fast one is served."""
    with _gunicorn("--worker-class", "gthread", "--threads", "8", *options) as url, ThreadPoolExecutor(6) as pool:
        slow = [pool.submit(_get, f"{url}/slow/{number}") for number in range(6)]
        first = next(as_completed(slow)).result()
        fast = [_get(f"{url}/fast") for _ in range(50)]
        assert _get(f"{url}/release") == 200
        statuses = Counter(each.result() for each in slow)
        snapshot = _idle_snapshot(url)

    assert first == 503
    assert fast == [200] * 50
    assert statuses.keys() == {200, 503}
    assert statuses[200] >= 2
    assert {each["key"] for each in snapshot["limiters"]} == {"/slow/<int:number>", "/fast"}
    assert snapshot["admitted"] == 50 + statuses[200]


def test_single_thread_answers_everybody() -> None:
    """The sync worker of gunicorn: every request has an answer, and no permit is lost."""
    with _gunicorn("--worker-class", "sync") as url, ThreadPoolExecutor(16) as pool:
        paths = ["/work", "/work", "/work", "/fast", "/nowhere/1"] * 40
        statuses = Counter(pool.map(lambda path: _get(f"{url}{path}"), paths))
        snapshot = _idle_snapshot(url)

    assert statuses.keys() <= {200, 404, 503}
    assert snapshot["admitted"] == statuses[200] + statuses[404] > 0
    assert sum(snapshot["refused"].values()) == statuses[503]
    assert {each["key"] for each in snapshot["limiters"]} <= {"/work", "/fast", "_UNMATCHED"}


def test_command_reads_a_running_server() -> None:
    """In a process of its own, as an operator runs it."""
    with _gunicorn("--threads", "2") as url:
        assert _get(f"{url}/fast") == 200
        _idle_snapshot(url)
        command = [sys.executable, "-m", "flask", "--app", "gunicorn_app", "perfguard", "--url", url]
        shown = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True).stdout

    # The first request may have stood while the worker started, which is no normal state.
    assert re.match(r"shop: on, state \w+, worker process \d+\n", shown)
    assert "admitted 1, refused 0\n" in shown
    assert shown.splitlines()[-1].split()[0] == "/fast"
