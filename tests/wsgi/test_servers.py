"""Real servers with the WSGI middleware in front of an application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.servers import Running, parsed, read_all, running
from tests.wsgi.serving import CONCURRENT, SINGLE


@pytest.fixture(scope="module", params=CONCURRENT)
def concurrent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server that serves several requests at a time."""
    with running(CONCURRENT[request.param], tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module", params=SINGLE)
def single(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server that computes for one request at a time."""
    with running(SINGLE[request.param], tmp_path_factory.mktemp("server")) as server:
        yield server


def at_once(server: Running, path: str, count: int) -> list[int]:
    """Send so many requests at the same time; their statuses."""
    with ThreadPoolExecutor(count) as pool:
        return [status for status, _ in pool.map(server.get, [path] * count)]


def test_a_server_serves_what_fits_and_refuses_the_rest(concurrent: Running) -> None:
    statuses = at_once(concurrent, "/slow", 8)
    assert set(statuses) == {200, 503}
    concurrent.until_state("0 0 0")
    assert concurrent.get("/") == (200, b"ok")


def test_a_stream_arrives_whole_and_holds_no_permit(concurrent: Running) -> None:
    """Its first part is made while it does."""
    assert concurrent.get("/stream") == (200, b"1 0 0 ")
    concurrent.until_state("0 0 0")


def test_what_is_written_arrives(concurrent: Running) -> None:
    assert concurrent.get("/written") == (200, b"ab")
    concurrent.until_state("0 0 0")


def test_a_client_that_closes_in_mid_response_ends_the_stream(concurrent: Running) -> None:
    """The application's body is closed, and the next request is served."""
    with concurrent.ask("/endless") as client:
        assert client.recv(100)
    concurrent.until_file("closed")
    concurrent.until_state("0 0 0")


def test_a_client_that_leaves_while_queued_is_not_served(concurrent: Running) -> None:
    with concurrent.ask("/hold") as holding:
        concurrent.until_state("0 1 0")
        leaving = concurrent.ask("/gone")
        concurrent.until_state("0 1 1")
        with concurrent.ask("/stays") as staying:
            concurrent.until_state("0 1 2")
            leaving.close()
            for _ in range(20):  # The server reads the network in between.
                concurrent.until_state("0 1 2")
            concurrent.get("/release")
            assert parsed(read_all(holding)) == parsed(read_all(staying)) == (200, b"ok")
    concurrent.until_state("0 0 0 /stays")


def test_the_kernel_tells_for_how_long_a_request_stood_behind_another(single: Running) -> None:
    """While the server computes it reads no network."""
    with single.ask("/burn") as first:
        single.until_file("burning")
        with single.ask("/age") as second:
            threading.Event().wait(0.15)
            (single.folder / "burnt").touch()
            assert parsed(read_all(first)) == (200, b"ok")
            # Some servers wait with the next request until the client has closed as well.
            first.close()
            age = float(parsed(read_all(second))[1])
    assert 0.1 < age < 10.0


def test_a_single_thread_serves_after_a_client_that_closed_in_mid_response(single: Running) -> None:
    with single.ask("/endless") as client:
        assert client.recv(100)
    single.until_file("closed")
    single.until_state("0 0 0")


def test_a_single_thread_refuses_what_stood_too_long(tmp_path: Path) -> None:
    """By the age alone: no two requests are ever in flight."""
    with running(SINGLE["gunicorn sync"], tmp_path) as server:
        statuses = at_once(server, "/slow", 12)
        assert set(statuses) == {200, 503}
        assert server.get("/stream") == (200, b"1 0 0 ")
