"""When the service of a WSGI response ends, for every kind of body that PEP 3333 knows."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.outcome import Outcome
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import TEXT, App, Environ, Server, StartResponse, answering, environ


class Parts:
    """An iterable body that is no list, with what a test wants to see of it.

    Attributes:
        closed: How often it was closed.
    """

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """As PEP 3333 has it."""
        self.closed += 1


class Sized(Parts):
    """One that tells how many parts it has."""

    def __len__(self) -> int:
        return len(self._parts)


def guarded(app: App, **options: Any) -> GuardMiddleware:
    return GuardMiddleware(app, Guard(Limiter(FixedLimit(5))), **options)


def in_flight(middleware: GuardMiddleware) -> int:
    return middleware.guard.snapshot().in_flight


def streams(middleware: GuardMiddleware) -> int:
    return middleware._streams.count  # noqa: SLF001


def settled(middleware: GuardMiddleware) -> dict[Outcome, int]:
    return dict(middleware.guard.snapshot().settled)


def opened(middleware: GuardMiddleware, **more: Any) -> Any:
    """Return the body that a server gets to iterate over."""
    return middleware(environ(**more), Server().start_response)


@pytest.mark.parametrize("body", [[b"a", b"b"], (b"a",), []], ids=repr)
def test_a_list_is_handed_on_as_it_is_and_ends_the_service(body: Any) -> None:
    middleware = guarded(answering(body))
    assert opened(middleware) is body
    assert settled(middleware) == {Outcome.SUCCESS: 1}


def test_an_application_may_return_one_list_for_ever() -> None:
    body = [b"ok"]
    middleware = guarded(answering(body))
    assert [opened(middleware) is body for _ in range(3)] == [True] * 3
    assert settled(middleware) == {Outcome.SUCCESS: 3}


def test_a_file_for_the_servers_wrapper_is_handed_on_as_it_is() -> None:
    """Servers know it by its type, and send it by `sendfile`."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        body: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"ok"))
        return body

    middleware = guarded(app)
    body = opened(middleware, **{"wsgi.file_wrapper": FileWrapper})
    assert type(body) is FileWrapper
    assert settled(middleware) == {Outcome.SUCCESS: 1}


def test_a_file_for_a_wrapper_that_is_a_function_is_handed_on_as_it_is() -> None:
    """The one of uWSGI returns the file itself, and knows it by its identity."""
    file = io.BytesIO(b"ok")
    middleware = guarded(answering(file))
    assert opened(middleware, **{"wsgi.file_wrapper": lambda file, size=0: file}) is file


def test_a_file_of_another_wrapper_is_a_body_in_parts() -> None:
    middleware = guarded(answering(FileWrapper(io.BytesIO(b"ok"))))
    body = opened(middleware, **{"wsgi.file_wrapper": io.BytesIO})
    assert (next(body), in_flight(middleware)) == (b"ok", 0)


def test_a_body_that_tells_its_size_still_does() -> None:
    """By it wsgiref and waitress set a `Content-Length`."""
    middleware = guarded(answering(Sized(b"a", b"b")))
    body = opened(middleware)
    assert len(body) == 2
    assert list(body) == [b"a", b"b"]
    assert not hasattr(opened(guarded(answering(Parts()))), "__len__")


def test_a_stream_gives_its_permit_back_at_the_first_part() -> None:
    middleware = guarded(answering(Parts(b"", b"a", b"b")))
    body = opened(middleware)
    seen = [(part, in_flight(middleware), streams(middleware)) for part in body]
    assert seen == [(b"", 1, 0), (b"a", 0, 1), (b"b", 0, 1)]
    body.close()
    assert streams(middleware) == 0
    assert settled(middleware) == {Outcome.SUCCESS: 1}


def test_each_part_reaches_the_server_before_the_next_is_made() -> None:
    """Nothing is buffered, and each part is the same object."""
    steps: list[tuple[str, int]] = []

    def parts() -> Iterator[bytes]:
        for number in range(100):
            part = bytes([number])
            steps.append(("made", id(part)))
            yield part

    steps.extend(("sent", id(part)) for part in opened(guarded(answering(parts))))
    assert [step for step, _ in steps] == ["made", "sent"] * 100
    assert [made for _, made in steps[::2]] == [sent for _, sent in steps[1::2]]


@pytest.mark.parametrize("options", [{"max_streams": 0}, {"max_streams": 1}])
def test_a_stream_over_the_cap_keeps_its_permit_and_is_not_cut(options: dict[str, int]) -> None:
    middleware = guarded(answering(lambda: Parts(b"a", b"b")), **options)
    open_ones = [opened(middleware) for _ in range(3)]
    assert [next(body) for body in open_ones] == [b"a"] * 3
    assert in_flight(middleware) == 3 - options["max_streams"]
    assert [list(body) for body in open_ones] == [[b"b"]] * 3
    for body in open_ones:
        body.close()
    assert (in_flight(middleware), streams(middleware)) == (0, 0)


def test_a_body_that_is_whole_with_its_first_part_is_no_stream() -> None:
    middleware = guarded(answering(Parts(b"ok"), headers=[("content-length", "2")]))
    body = opened(middleware)
    assert next(body) == b"ok"
    assert (in_flight(middleware), streams(middleware)) == (1, 0)
    body.close()
    assert settled(middleware) == {Outcome.SUCCESS: 1}


def test_a_first_part_of_a_longer_body_makes_a_stream() -> None:
    middleware = guarded(answering(Parts(b"o", b"k"), headers=[("Content-Length", "2")]))
    next(body := opened(middleware))
    assert (in_flight(middleware), streams(middleware)) == (0, 1)
    body.close()


def test_a_body_without_parts_ends_the_service_at_its_close() -> None:
    """As of HEAD, 204 and 304."""
    for status in ("200 OK", "204 No Content", "304 Not Modified"):
        middleware = guarded(answering(Parts(), status))
        body = opened(middleware, REQUEST_METHOD="HEAD")
        assert list(body) == []
        body.close()
        assert settled(middleware) == {Outcome.SUCCESS: 1}


def test_the_applications_body_is_closed_once_for_each_close_of_the_server() -> None:
    parts = Parts(b"a", b"b")
    body = opened(guarded(answering(parts)))
    next(body)
    body.close()
    assert parts.closed == 1
    del body
    assert parts.closed == 1


def test_an_early_close_reaches_a_generator() -> None:
    """Its `finally` runs, as without the middleware."""
    steps: list[str] = []

    def parts() -> Iterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            steps.append("closed")

    middleware = guarded(answering(parts))
    body = opened(middleware)
    next(body)
    body.close()
    assert steps == ["closed"]
    assert (in_flight(middleware), streams(middleware)) == (0, 0)


def test_a_close_before_the_first_part_gives_the_permit_back() -> None:
    middleware = guarded(answering(Parts(b"a")))
    opened(middleware).close()
    assert (in_flight(middleware), settled(middleware)) == (0, {Outcome.SUCCESS: 1})


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_server_that_never_closes_leaves_no_permit_and_no_stream(read: int) -> None:
    middleware = guarded(answering(Parts(b"a", b"b", b"c")))
    body = opened(middleware)
    for _ in range(read):
        next(body)
    del body
    assert (in_flight(middleware), streams(middleware)) == (0, 0)


def test_a_body_in_a_cycle_gives_its_permit_back_to_the_collector() -> None:
    middleware = guarded(answering(Parts(b"a")))
    ring: list[Any] = [opened(middleware)]
    ring.append(ring)
    del ring
    gc.collect()
    assert in_flight(middleware) == 0


def test_a_server_may_call_next_without_iter() -> None:
    assert next(opened(guarded(answering(Parts(b"a"))))) == b"a"


def test_a_close_that_raises_raises_and_keeps_no_permit() -> None:
    class Broken(Parts):
        def close(self) -> None:
            raise ValueError("mine")

    middleware = guarded(answering(Broken(b"a")))
    with pytest.raises(ValueError, match="mine"):
        opened(middleware).close()
    assert settled(middleware) == {Outcome.FAILURE: 1}


def failing(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    def body() -> Iterator[bytes]:
        yield from parts
        raise ValueError("mine")

    return body


@pytest.mark.parametrize(
    ("parts", "outcome"), [((), Outcome.FAILURE), ((b"",), Outcome.FAILURE), ((b"a",), Outcome.SUCCESS)]
)
def test_a_body_that_raises_still_raises(parts: tuple[bytes, ...], outcome: Outcome) -> None:
    """After the first part the call has ended already."""
    middleware = guarded(answering(failing(*parts)))
    with pytest.raises(ValueError, match="mine"):
        Server().serve(middleware)
    assert (settled(middleware), streams(middleware)) == ({outcome: 1}, 0)


@pytest.mark.parametrize("started", [True, False])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError, Outcome.FAILURE),
        (TimeoutError, Outcome.DROPPED),
        (SystemExit, Outcome.IGNORED),
        (KeyboardInterrupt, Outcome.IGNORED),
    ],
)
def test_an_application_that_raises_still_raises(
    started: bool,  # noqa: FBT001 # A column.
    error: type[BaseException],
    outcome: Outcome,
) -> None:
    """Before and after it called `start_response`."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if started:
            start_response("200 OK", TEXT)
        raise error

    middleware = guarded(app)
    with pytest.raises(error):
        Server().serve(middleware)
    assert settled(middleware) == {outcome: 1}


@pytest.mark.parametrize("body", [None, 7, object()], ids=["None", "number", "object"])
def test_a_body_that_is_none_fails_where_the_server_iterates(body: Any) -> None:
    """As without the middleware, and the permit comes back."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", TEXT)
        return body

    middleware = guarded(app)
    with pytest.raises(TypeError, match="not iterable"):
        Server().serve(middleware)
    assert settled(middleware) == {Outcome.FAILURE: 1}


@pytest.mark.parametrize("body", ["text", b"bytes", {"a": 1}], ids=repr)
def test_a_body_of_something_else_is_the_servers_to_complain_about(body: Any) -> None:
    middleware = guarded(answering(body))
    assert list(opened(middleware)) == list(body)
    assert (in_flight(middleware), streams(middleware)) == (0, 0)
