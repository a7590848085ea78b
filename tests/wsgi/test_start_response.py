"""The application's `start_response` and `write`: what reaches the server, and what ends the service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from perfguard.outcome import Outcome
from tests.wsgi.calls import TEXT, Environ, Server, StartResponse, counts, environ
from tests.wsgi.test_bodies import Parts, guarded, in_flight, opened, settled, streams


def test_what_is_written_reaches_the_server_at_once_and_counts_as_a_stream() -> None:
    seen: list[tuple[int, int]] = []
    server = Server()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        for part in (b"", b"a", b"b"):
            write(part)
            seen.append((in_flight(middleware), streams(middleware)))
        return [b"c"]

    middleware = guarded(app)
    server.serve(middleware)
    assert server.body == b"abc"
    assert seen == [(1, 0), (0, 1), (0, 1)]
    assert (settled(middleware), streams(middleware)) == ({Outcome.SUCCESS: 1}, 0)


def test_what_is_written_over_the_cap_of_streams_keeps_its_permit() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)(b"a")
        assert in_flight(middleware) == 1
        raise ValueError("mine")

    middleware = guarded(app, max_streams=0)
    with pytest.raises(ValueError, match="mine"):
        Server().serve(middleware)
    assert (settled(middleware), streams(middleware)) == ({Outcome.FAILURE: 1}, 0)


def test_a_body_after_what_was_written_is_the_same_stream() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)(b"a")
        return Parts(b"b", b"c")

    middleware = guarded(app)
    body = opened(middleware)
    assert streams(middleware) == 1
    assert list(body) == [b"b", b"c"]
    body.close()
    assert streams(middleware) == 0


def test_a_write_that_raises_reaches_the_application() -> None:
    def start_response(status: str, headers: Any) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            raise BrokenPipeError

        return write

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with pytest.raises(BrokenPipeError):
            start_response("200 OK", TEXT)(b"a")
        return []

    middleware = guarded(app)
    middleware(environ(), start_response)
    assert (in_flight(middleware), streams(middleware)) == (0, 0)


@pytest.mark.parametrize("named", [True, False])
def test_a_second_start_with_an_error_replaces_the_first(named: bool) -> None:  # noqa: FBT001 # A column.
    """PEP 3333 asks for `exc_info` by position; servers take it by name as well."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        error = (ValueError, ValueError(), None)
        if named:
            start_response("500 Oops", TEXT, exc_info=error)
        else:
            start_response("500 Oops", TEXT, error)
        return [b"sorry"]

    middleware = guarded(app)
    server = Server().serve(middleware)
    assert (server.status, server.body) == ("500 Oops", b"sorry")
    assert settled(middleware) == {Outcome.FAILURE: 1}


def test_an_error_after_the_first_part_is_raised_by_the_server_through_the_middleware() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"a"
        error = ValueError("mine")
        start_response("500 Oops", TEXT, (ValueError, error, error.__traceback__))

    middleware = guarded(app)
    with pytest.raises(ValueError, match="mine"):
        Server().serve(middleware)
    assert (counts(middleware.guard), streams(middleware)) == ((0, 0), 0)


def test_a_second_start_without_an_error_is_the_servers_to_complain_about() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        start_response("201 Created", TEXT)
        return []

    middleware = guarded(app)
    with pytest.raises(AssertionError, match="headers are set"):
        Server().serve(middleware)
    assert settled(middleware) == {Outcome.FAILURE: 1}


@pytest.mark.parametrize(
    ("status", "headers"), [(None, None), (7, [1]), ("", [("Content-Length", "many")]), ("2", [(None, "2")])]
)
def test_a_start_that_makes_no_sense_is_the_servers_to_complain_about(status: Any, headers: Any) -> None:
    given_out: list[Any] = []

    def start(*each: Any) -> Any:
        given_out.append(each)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, headers)
        return Parts(b"a")

    middleware = guarded(app)
    body: Any = middleware(environ(), start)
    assert list(body) == [b"a"]
    body.close()
    assert given_out == [(status, headers)]
    assert in_flight(middleware) == 0
