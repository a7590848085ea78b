"""The WSGI middleware: admissions, refusals, and the end of service."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

from perfguard import Call, Guard, Limiter, Outcome
from perfguard.context import current_admission, remaining
from perfguard.limits import FixedLimit
from perfguard.wsgi import GuardMiddleware

App = Callable[[dict[str, Any], Any], Iterable[bytes]]
PLAIN = [("Content-Type", "text/plain")]


class Exchange:
    """One request through an application, as a server makes it.

    Attributes:
        status: The status line.
        headers: The headers, names in lower case.
        body: What the application returned.
    """

    def __init__(self, app: App, **environ: Any) -> None:
        self.status = ""
        self.headers: dict[str, str] = {}
        self.written: list[bytes] = []
        variables: dict[str, Any] = {}
        setup_testing_defaults(variables)
        self.body = app(variables | environ, self._start)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        return self.written.append

    def close(self) -> None:
        """End the exchange, as PEP 3333 has servers do."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def text(self) -> bytes:
        """Read it to the end, and close."""
        try:
            return b"".join(self.body)
        finally:
            self.close()


def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    start("200 OK", [*PLAIN, ("Content-Length", "2")])
    return [b"ok"]


def stream(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
    start("200 OK", PLAIN)
    yield b"one"
    yield b"two"


def guarded(app: App, **options: Any) -> GuardMiddleware:
    return GuardMiddleware(app, Guard(Limiter(FixedLimit(1))), **options)


def full(app: App, **options: Any) -> GuardMiddleware:
    """A middleware whose only permit is taken, and whose queue takes nothing that is late."""
    middleware = guarded(app, timeout=0.001, **options)
    middleware.guard.admit(Call()).__enter__()
    return middleware


def outcomes(middleware: GuardMiddleware) -> dict[Outcome, int]:
    state = middleware.guard.snapshot()
    assert (state.in_flight, state.queued) == (0, 0)
    return state.settled


def test_application_answers_through_the_guard() -> None:
    middleware = guarded(answer)
    assert Exchange(middleware).text() == b"ok"
    assert outcomes(middleware) == {Outcome.SUCCESS: 1}


def test_middleware_and_application_keep_to_the_specification() -> None:
    exchange = Exchange(validator(guarded(validator(answer))), REMOTE_ADDR="127.0.0.1", QUERY_STRING="")
    assert exchange.text() == b"ok"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("304 Not Modified", "success"), ("404 Not Found", "ignored"), ("500 Oops", "failure"), ("503 Busy", "dropped")],
)
def test_status_decides_what_the_limit_may_learn(status: str, outcome: str) -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start(status, PLAIN)
        return [b""]

    middleware = guarded(app)
    Exchange(middleware).text()
    assert outcomes(middleware) == {Outcome(outcome): 1}


def test_stream_gives_its_permit_back_at_the_first_part() -> None:
    middleware = guarded(stream)
    exchange = Exchange(middleware)
    parts = iter(exchange.body)
    assert middleware.guard.snapshot().in_flight == 1
    assert next(parts) == b"one"
    assert middleware.guard.snapshot().in_flight == 0
    assert "1 streams open" in repr(middleware)
    exchange.close()
    assert "0 streams open" in repr(middleware)


def test_stream_over_the_cap_keeps_its_permit_to_its_end() -> None:
    middleware = guarded(stream, max_streams=0)
    exchange = Exchange(middleware)
    next(iter(exchange.body))
    assert middleware.guard.snapshot().in_flight == 1
    exchange.close()
    assert outcomes(middleware) == {Outcome.SUCCESS: 1}


def test_body_that_comes_whole_is_service_until_its_close() -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [*PLAIN, ("Content-Length", "2")])
        yield b"ok"

    middleware = guarded(app)
    exchange = Exchange(middleware)
    next(iter(exchange.body))
    assert middleware.guard.snapshot().in_flight == 1
    exchange.close()
    assert outcomes(middleware) == {Outcome.SUCCESS: 1}


def test_body_that_is_never_closed_gives_its_permit_back_when_it_is_dropped() -> None:
    middleware = guarded(stream)
    Exchange(middleware)
    gc.collect()
    assert middleware.guard.snapshot().in_flight == 0


def test_written_body_ends_service_at_its_first_part() -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        write = start("200 OK", PLAIN)
        write(b"ok")
        assert middleware.guard.snapshot().in_flight == 0
        return []

    middleware = guarded(app)
    exchange = Exchange(middleware)
    assert (exchange.written, exchange.text()) == ([b"ok"], b"")


def test_file_for_the_servers_wrapper_is_handed_on_as_it_is(tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", PLAIN)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    exchange = Exchange(guarded(app), **{"wsgi.file_wrapper": FileWrapper})
    assert isinstance(exchange.body, FileWrapper)
    assert exchange.text() == b"content"


def test_sized_body_keeps_its_length() -> None:
    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"ok"])

        def __len__(self) -> int:
            return 1

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", PLAIN)
        return Parts()

    body: Any = Exchange(guarded(app)).body
    assert len(body) == 1


@pytest.mark.parametrize("late", [False, True])
def test_exception_of_the_application_passes_and_is_a_failure(late: bool) -> None:  # noqa: FBT001
    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if not late:
            raise LookupError
        return failing()

    def failing() -> Iterator[bytes]:
        raise LookupError
        yield b""

    middleware = guarded(app)
    with pytest.raises(LookupError):
        Exchange(middleware).text()
    assert outcomes(middleware) == {Outcome.FAILURE: 1}


@pytest.mark.parametrize("parts", [False, True])
def test_application_runs_under_its_admission_and_deadline(parts: bool) -> None:  # noqa: FBT001
    seen: list[bool] = []

    def whole(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        seen.append(current_admission.get() is not None and (remaining() or 0.0) > 0.0)
        return answer(environ, start)

    def in_parts(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        yield from whole(environ, start)

    Exchange(guarded(in_parts if parts else whole, timeout=5.0)).text()
    assert (seen, current_admission.get(), remaining()) == ([True], None, None)


def test_refusal_is_a_503_that_says_when_to_come_back() -> None:
    exchange = Exchange(full(answer))
    assert exchange.status == "503 Service Unavailable"
    assert 1 <= int(exchange.headers["retry-after"]) <= 30
    assert exchange.headers["content-type"] == "text/plain"
    assert len(exchange.text()) == int(exchange.headers["content-length"])


def test_refusal_is_a_problem_for_who_asks_for_json_and_has_no_body_for_head() -> None:
    exchange = Exchange(full(answer), HTTP_ACCEPT="application/json", REQUEST_METHOD="HEAD")
    assert (exchange.headers["content-type"], exchange.text()) == ("application/problem+json", b"")


def test_exempt_path_passes_untouched() -> None:
    assert Exchange(full(answer), PATH_INFO="/healthz").text() == b"ok"


def test_key_or_priority_that_fails_does_not_fail_the_request(caplog: pytest.LogCaptureFixture) -> None:
    assert Exchange(guarded(answer, key=lambda environ: environ["nothing"])).text() == b"ok"
    assert "key or priority" in caplog.text


# linux/tcp_states.h
ESTABLISHED, CLOSE, CLOSE_WAIT = 1, 7, 8


class Socket:
    """A client's socket that says how long its data has stood, and whether it has closed."""

    def __init__(self, age_ms: int, state: int = ESTABLISHED) -> None:
        self._age = age_ms
        self._state = state

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """The start of `struct tcp_info`."""
        return (bytes([self._state]) + bytes(51) + self._age.to_bytes(4, "little"))[:size]


@pytest.mark.parametrize("name", ["gunicorn.socket", "werkzeug.socket"])
def test_age_in_the_kernel_counts_against_the_deadline(name: str) -> None:
    middleware = guarded(answer, timeout=0.5)
    assert Exchange(middleware, **{name: Socket(400)}).text() == b"ok"
    assert Exchange(middleware, **{name: Socket(600)}).status.startswith("503")


@pytest.mark.parametrize(
    ("variables", "left"),
    [
        ({"gunicorn.socket": Socket(100, CLOSE_WAIT)}, True),
        ({"gunicorn.socket": Socket(100, CLOSE)}, True),
        ({"gunicorn.socket": Socket(100)}, False),
        ({"waitress.client_disconnected": lambda: True, "mod_wsgi.queue_start": "1"}, False),
    ],
)
def test_client_that_left_while_it_queued_is_not_served(variables: dict[str, Any], left: bool) -> None:  # noqa: FBT001
    middleware = guarded(answer)
    served = Exchange(middleware, **variables).status.startswith("200")
    assert served is not left


def test_stamp_of_a_trusted_proxy_counts_and_that_of_anybody_else_does_not() -> None:
    stamped = {"HTTP_X_REQUEST_START": "t=1000000000", "REMOTE_ADDR": "10.0.0.1"}
    assert Exchange(guarded(answer, timeout=0.5, trusted_proxies=["10.0.0.0/8"]), **stamped).text() == b"ok"
    assert Exchange(guarded(answer, timeout=0.5), **stamped).text() == b"ok"


def test_guard_that_is_off_leaves_the_deadline() -> None:
    seen: list[float | None] = []

    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        seen.append(remaining())
        return answer(environ, start)

    off = Guard(enabled=False)
    Exchange(GuardMiddleware(app, off, timeout=5.0)).text()
    Exchange(GuardMiddleware(app, off)).text()
    assert [each is not None for each in seen] == [True, False]


def test_malformed_answers_pass_as_they_are() -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("what", [("Content-Length", "many"), None])
        return [b"ok"]

    def start(*_: Any) -> Any:
        return None

    middleware = guarded(app)
    assert list(middleware({}, start)) == [b"ok"]
    assert outcomes(middleware) == {Outcome.FAILURE: 1}
