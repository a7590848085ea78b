"""The WSGI middleware: admission, refusals, and what it is configured by."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.context import current_admission, current_deadline, remaining, report_wait
from perfguard.errors import ConfigurationError
from perfguard.events import Admitted, Refused
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter, Sample
from perfguard.outcome import Outcome, Priority, Reason
from perfguard.testing import RecordingListener
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import (
    TEXT,
    Environ,
    Held,
    Refusing,
    Server,
    StartResponse,
    answering,
    environ,
    full_guard,
    header,
    refused,
    until_queued,
)


def test_a_request_is_served_as_without_the_middleware() -> None:
    middleware = GuardMiddleware(answering())
    assert Server().serve(middleware).steps == Server().serve(answering()).steps
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}
    assert repr(middleware).startswith("<GuardMiddleware <Guard guard")


def test_a_refusal_is_a_small_503_that_says_when_to_come_back() -> None:
    server = refused(GuardMiddleware(answering(), full_guard()))
    assert server.status == "503 Service Unavailable"
    assert 1 <= int(header(server, "retry-after")) <= 30
    assert header(server, "content-type") == "text/plain"
    assert header(server, "content-length") == str(len(server.body))
    assert server.body == b"Service overloaded\n"


@pytest.mark.parametrize("details", [False, True])
def test_a_refusal_is_problem_json_where_the_client_accepts_json(details: bool) -> None:  # noqa: FBT001 # A column.
    middleware = GuardMiddleware(answering(), full_guard(), details=details)
    server = refused(middleware, environ(HTTP_ACCEPT="application/json"))
    assert header(server, "content-type") == "application/problem+json"
    problem = json.loads(server.body)
    assert problem["status"] == 503
    assert ("detail" in problem) is details


def test_a_refusal_names_its_reason_only_when_asked_to() -> None:
    server = refused(GuardMiddleware(answering(), full_guard(), details=True))
    assert server.body == b"Service overloaded\nqueue_full\n"


def test_a_refused_head_has_the_headers_and_no_body() -> None:
    """RFC 9110, 9.3.2."""
    server = refused(GuardMiddleware(answering(), full_guard()), environ(REQUEST_METHOD="HEAD"))
    assert (server.status, server.body) == ("503 Service Unavailable", b"")
    assert header(server, "content-length") == "19"


def test_headers_of_one_refusal_are_not_those_of_the_next() -> None:
    """Middleware further out may add some of its own."""
    middleware = GuardMiddleware(answering(), full_guard())
    given_out: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]]) -> Any:
        headers.append(("x-more", "1"))
        given_out.append(headers)

    with Held(middleware.guard):
        for _ in range(40):
            middleware(environ(), start_response)
    assert {len(headers) for headers in given_out} == {4}


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics"])
def test_what_watches_a_service_is_never_refused(path: str) -> None:
    assert refused(GuardMiddleware(answering(), full_guard()), environ(path)).status == "200 OK"


def test_exempt_paths_can_be_chosen() -> None:
    middleware = GuardMiddleware(answering(), full_guard(), exempt=["/ping"])
    assert refused(middleware, environ("/ping")).status == "200 OK"
    assert refused(middleware, environ("/healthz")).status == "503 Service Unavailable"


def test_an_environ_without_a_path_is_served() -> None:
    """PEP 3333 lets `PATH_INFO` be absent."""
    request = environ()
    del request["PATH_INFO"]
    assert Server().serve(GuardMiddleware(answering()), request).status == "200 OK"


def test_a_guard_that_is_off_lets_everything_pass() -> None:
    middleware = GuardMiddleware(answering(), full_guard(enabled=False))
    assert Server().serve(middleware).status == "200 OK"
    assert middleware.guard.snapshot().admitted == 0


def test_the_environment_takes_the_guard_out_of_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFGUARD_ENABLED", "0")
    middleware = GuardMiddleware(answering())
    assert Server().serve(middleware).body == b"ok"
    assert middleware.guard.snapshot().admitted == 0


def test_a_dry_run_refuses_nothing_and_counts_what_it_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFGUARD_DRY_RUN", "1")
    middleware = GuardMiddleware(answering(), full_guard())
    admissions = [middleware.guard.admit() for _ in range(3)]
    for each in admissions:
        assert middleware.guard.enter(each) is None
    assert Server().serve(middleware).status == "200 OK"
    for each in admissions:
        each.settle(Outcome.SUCCESS)
    state = middleware.guard.snapshot()
    assert (state.in_flight, state.refused) == (0, {Reason.QUEUE_FULL: 2})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("204 No Content", Outcome.SUCCESS),
        ("304 Not Modified", Outcome.SUCCESS),
        ("404 Not Found", Outcome.IGNORED),
        ("500 Oops", Outcome.FAILURE),
        ("503 Service Unavailable", Outcome.DROPPED),
        ("504 Gateway Timeout", Outcome.DROPPED),
        ("what", Outcome.FAILURE),
    ],
)
def test_the_status_tells_the_outcome(status: str, outcome: Outcome) -> None:
    bodies: list[Any] = [[b""], iter([])]
    for body in bodies:
        middleware = GuardMiddleware(answering(body, status))
        Server().serve(middleware)
        assert middleware.guard.snapshot().settled == {outcome: 1}


def test_a_request_past_its_deadline_is_refused_though_a_permit_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    middleware = GuardMiddleware(answering(), timeout=0.2, trusted_proxies=["127.0.0.1"])
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.0)
    server = Server().serve(middleware, environ(HTTP_X_REQUEST_START="1700000000"))
    assert server.status == "503 Service Unavailable"
    assert middleware.guard.snapshot().refused == {Reason.DEADLINE: 1}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_timeout_sets_the_deadline_of_the_application_and_of_a_generators_first_part(
    enabled: bool,  # noqa: FBT001 # A column.
) -> None:
    """A generator function runs nowhere else; with the guard off the deadline stays."""
    seen: list[float | None] = []

    def calling(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(remaining())
        return answering()(environ, start_response)

    def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        seen.append(remaining())
        yield from answering()(environ, start_response)

    for app in (calling, generating):
        assert Server().serve(GuardMiddleware(app, Guard(enabled=enabled), timeout=5.0)).body == b"ok"
    assert [each is not None and 0.0 < each <= 5.0 for each in seen] == [True, True]
    assert current_deadline.get() is None


def test_the_admission_is_at_hand_in_the_application_and_in_a_generators_first_part() -> None:
    seen: list[Any] = []

    def calling(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(current_admission.get())
        return generating(environ, start_response)

    def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        seen.append(current_admission.get())
        yield from answering()(environ, start_response)

    Server().serve(GuardMiddleware(calling))
    assert seen[0] is seen[1] is not None
    assert current_admission.get() is None


def test_a_wait_that_the_application_reports_is_no_work_to_the_limit() -> None:
    """The sample of the call holds it."""
    samples: list[Sample] = []

    class Recorder(FixedLimit):
        def observe(self, sample: Sample) -> None:
            samples.append(sample)

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        report_wait(0.25)
        yield from answering()(environ, start_response)

    Server().serve(GuardMiddleware(app, Guard(Limiter(Recorder(5)))))
    assert [sample.wait for sample in samples] == [0.25]


def test_the_key_and_the_priority_come_from_the_environ() -> None:
    events = RecordingListener()
    middleware = GuardMiddleware(
        answering(),
        Guard(listeners=[events]),
        key=lambda environ: environ["PATH_INFO"],
        priority=lambda environ: Priority.HIGH,
    )
    Server().serve(middleware, environ("/K"))
    assert [(each.key, each.priority) for each in events.of(Admitted)] == [("/K", Priority.HIGH)]


def test_listeners_hear_of_a_refusal() -> None:
    events = RecordingListener()
    refused(GuardMiddleware(answering(), full_guard(listeners=[events])))
    assert [each.reason for each in events.of(Refused)] == [Reason.QUEUE_FULL]


def test_a_request_waits_for_a_permit_and_is_then_served() -> None:
    guard = full_guard()
    first = guard.admit()
    guard.enter(first)
    server = Server()
    thread = threading.Thread(target=server.serve, args=[GuardMiddleware(answering(), guard)])
    thread.start()
    until_queued(guard, 1)
    first.settle(Outcome.SUCCESS)
    thread.join()
    assert server.body == b"ok"
    assert guard.snapshot().in_flight == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"app": None}, "app must be a WSGI application, got None"),
        ({"guard": "web"}, "guard must be a Guard or None, got 'web'"),
        ({"key": 1}, "key must be callable, or None"),
        ({"priority": 1}, "priority must be callable, or None"),
        ({"timeout": 0.0}, "timeout must be a positive number of seconds, got 0.0"),
        ({"max_streams": -1}, "max_streams must be at least 0, got -1"),
        ({"details": 1}, "details must be"),
        ({"exempt": "/healthz"}, "exempt must be"),
        ({"trusted_proxies": ["nowhere"]}, "trusted_proxies must be addresses, networks or"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_argument_names_itself_and_the_remedy(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GuardMiddleware(**{"app": answering(), **arguments})


TEXTS = st.text(max_size=200)


@given(TEXTS, TEXTS, TEXTS)
def test_headers_of_strangers_change_nothing(start: str, queued: str, accept: str) -> None:
    """Whatever they hold: nobody is trusted here who sends them."""
    events = RecordingListener()
    middleware = GuardMiddleware(answering(), Guard(listeners=[events]), trusted_proxies=["10.0.0.0/8"])
    request = environ(HTTP_X_REQUEST_START=start, HTTP_X_QUEUE_START=queued, HTTP_ACCEPT=accept)
    assert Server().serve(middleware, request).body == b"ok"
    assert events.of(Admitted)[0].queue_time < 1.0


@given(TEXTS, TEXTS)
def test_headers_of_a_trusted_proxy_never_raise(value: str, peer: str) -> None:
    middleware = GuardMiddleware(answering(), trusted_proxies=["127.0.0.0/8", "unix"])
    for host in ("127.0.0.1", "", peer):
        assert Server().serve(middleware, environ(HTTP_X_REQUEST_START=value, REMOTE_ADDR=host)).body == b"ok"


@given(TEXTS)
def test_headers_never_break_a_refusal(value: str) -> None:
    middleware = GuardMiddleware(answering(), Guard(Refusing()), trusted_proxies=["127.0.0.0/8"])
    server = Server().serve(middleware, environ(HTTP_X_REQUEST_START=value, HTTP_ACCEPT=value))
    assert server.status == "503 Service Unavailable"


def test_a_header_of_a_mebibyte_and_ten_thousand_headers_are_nothing_to_it() -> None:
    middleware = GuardMiddleware(answering(), trusted_proxies=["127.0.0.1"])
    many = {f"HTTP_X_{number}": "1" for number in range(10_000)}
    request = environ(HTTP_X_REQUEST_START="1," * 2**19, HTTP_ACCEPT="*" * 2**20, **many)
    assert Server().serve(middleware, request).body == b"ok"


def queue_time(value: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> float:
    events = RecordingListener()
    middleware = GuardMiddleware(answering(), Guard(listeners=[events]), trusted_proxies=["127.0.0.1", "unix"])
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.5)
    Server().serve(middleware, environ(HTTP_X_REQUEST_START=value, **more))
    return events.of(Admitted)[0].queue_time


@pytest.mark.parametrize("peer", ["127.0.0.1", "", "<local>", "localhost"])
def test_a_trusted_stamp_counts_as_queue_time(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over a Unix socket, whatever the server calls its peer."""
    assert queue_time("t=1700000001.250", monkeypatch, REMOTE_ADDR=peer) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("value", ["t=1700000001.250,t=1700000001.250", "1,t=1700000001.250", "t=1700000001.250, "])
def test_a_header_that_came_twice_is_not_believed(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers join the two by a comma, and one of them may be the client's."""
    assert queue_time(value, monkeypatch) < 0.1


def test_a_stranger_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert queue_time("t=1700000001.250", monkeypatch, REMOTE_ADDR="192.0.2.1") < 0.1


def test_one_middleware_keeps_nothing_of_a_request() -> None:
    """The environ it was given is the one that the application gets, unchanged."""
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", TEXT)
        return []

    request = environ()
    before = dict(request)
    Server().serve(GuardMiddleware(app), request)
    assert seen[0] is request
    assert request == before
