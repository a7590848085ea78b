"""Real servers with a Django project behind them."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.django.serving import CONCURRENT, SERVERS, SYNC, serving, until_shown


@pytest.mark.parametrize("name", SERVERS)
def test_a_real_server_answers_in_each_way(name: str, tmp_path: Path) -> None:
    """Plain, streamed, a file, an error, without a body."""
    with serving(SERVERS[name], tmp_path) as server:
        assert httpx.get(f"{server.url}/plain/").text == "plain"
        assert httpx.get(f"{server.url}/plain-async/").text == "plain async"
        assert httpx.get(f"{server.url}/stream/").text == "one two three"
        assert httpx.get(f"{server.url}/stream-async/").text == "one two three"
        assert httpx.get(f"{server.url}/file/").content == b"x" * 10_000
        assert httpx.get(f"{server.url}/boom/").status_code == 500
        head = httpx.head(f"{server.url}/file/")
        assert (head.content, head.headers["content-length"]) == (b"", "10000")
        assert httpx.get(f"{server.url}/perfguard/").json()["in_flight"] == 0


@pytest.mark.parametrize(
    ("name", "path"),
    [*((name, "/hold/") for name in CONCURRENT), ("uvicorn", "/hold-async/"), ("daphne", "/hold-async/")],
)
def test_a_real_server_serves_what_fits_and_refuses_the_rest(name: str, path: str, tmp_path: Path) -> None:
    """One in flight, two queued, the others refused at once; another route is served."""
    with serving(CONCURRENT[name], tmp_path, GUARD="app.guard") as server, ThreadPoolExecutor(3) as pool:
        kept = [pool.submit(httpx.get, f"{server.url}{path}", timeout=30.0) for _ in range(3)]
        until_shown(server, in_flight=1, queued=2)
        refused = [httpx.get(f"{server.url}{path}") for _ in range(3)]
        beside = httpx.get(f"{server.url}/plain/")
        httpx.get(f"{server.url}/release/")
        answers = [each.result() for each in kept]

        assert [each.status_code for each in answers] == [200, 200, 200]
        assert [each.status_code for each in refused] == [503, 503, 503]
        assert all(1 <= int(each.headers["retry-after"]) <= 30 for each in refused)
        assert beside.status_code == 200
        until_shown(server, in_flight=0, queued=0)


@pytest.mark.parametrize("name", ["gunicorn gthread", "uvicorn", "uvicorn, around", "daphne"])
def test_a_client_that_leaves_while_queued_is_not_served(name: str, tmp_path: Path) -> None:
    """Django cancels its task, or the socket tells."""
    with serving(CONCURRENT[name], tmp_path, GUARD="app.guard") as server, contextlib.ExitStack() as held:
        held.enter_context(server.ask("/hold/?name=first", "keep-alive"))
        until_shown(server, in_flight=1, queued=0)
        leaving = server.ask("/hold/?name=leaving", "keep-alive")
        until_shown(server, in_flight=1, queued=1)
        held.enter_context(server.ask("/hold/?name=staying", "keep-alive"))
        until_shown(server, in_flight=1, queued=2)

        leaving.close()
        for _ in range(20):  # The server reads the network in between.
            httpx.get(f"{server.url}/report/")
        httpx.get(f"{server.url}/release/")
        until_shown(server, in_flight=0, queued=0)

        assert httpx.get(f"{server.url}/report/").text == "first staying"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gunicorn sync", "/endless/"),
        ("gunicorn gthread", "/endless/"),
        ("gunicorn gthread, around", "/endless/"),
        ("uvicorn", "/endless-async/"),
        ("uvicorn, around", "/endless-async/"),
        ("daphne", "/endless-async/"),
    ],
)
def test_a_client_that_leaves_in_mid_response_leaks_nothing(name: str, path: str, tmp_path: Path) -> None:
    """Also where the stream kept its permit, over the cap."""
    with serving(SERVERS[name], tmp_path, MAX_STREAMS=0) as server:
        for _ in range(3):
            with server.ask(path, "keep-alive") as client:
                assert client.recv(10)

        until_shown(server, in_flight=0)
        assert httpx.get(f"{server.url}/plain/").text == "plain"


@pytest.mark.parametrize("name", ["gunicorn sync", "gunicorn sync, around"])
def test_the_kernel_tells_how_long_a_request_stood_before_a_single_thread(name: str, tmp_path: Path) -> None:
    """It came while another was served: nobody waits for it any more."""
    app = "app:around_wsgi" if "around" in name else "app:wsgi"
    with serving([*SYNC, app], tmp_path, TIMEOUT=0.2) as server, server.ask("/signalled/", "keep-alive") as first:
        server.until_file("running")
        with server.ask("/plain/", "keep-alive") as second:
            (tmp_path / "go on").touch()

            assert first.recv(12) == b"HTTP/1.1 200"
            assert second.recv(12) == b"HTTP/1.1 503"
