"""The ASGI middleware, by messages."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard.asgi import GuardMiddleware
from perfguard.context import current_admission, current_deadline, remaining, report_wait
from perfguard.errors import ConfigurationError
from perfguard.events import Admitted
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter, Sample
from perfguard.outcome import Outcome, Priority, Reason
from tests.asgi.messages import OK, Message, Receive, Send, answering, full_guard, header, http, refused, request


def test_a_request_is_served_as_without_the_middleware() -> None:
    middleware = GuardMiddleware(answering())
    assert asyncio.run(request(middleware, http())) == OK
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}
    assert repr(middleware).startswith("<GuardMiddleware <Guard guard")


def test_a_refusal_is_a_small_503_that_says_when_to_come_back() -> None:
    start, body = asyncio.run(refused(GuardMiddleware(answering(), full_guard()), http()))
    assert start["status"] == 503
    assert 1 <= int(header(start, b"retry-after")) <= 30
    assert header(start, b"content-type") == b"text/plain"
    assert header(start, b"content-length") == str(len(body["body"])).encode()
    assert body["body"] == b"Service overloaded\n"


@pytest.mark.parametrize("details", [False, True])
def test_a_refusal_is_problem_json_where_the_client_accepts_json(details: bool) -> None:  # noqa: FBT001 # A column.
    middleware = GuardMiddleware(answering(), full_guard(), details=details)
    scope = http(headers=[(b"host", b"x"), (b"accept", b"application/json")])
    start, body = asyncio.run(refused(middleware, scope))
    assert header(start, b"content-type") == b"application/problem+json"
    problem = json.loads(body["body"])
    assert problem["status"] == 503
    assert ("detail" in problem) is details


@pytest.mark.parametrize("accept", [b"*/*", b"application/*", b"text/html"])
def test_a_refusal_is_text_where_the_client_does_not_name_json(accept: bytes) -> None:
    """Who takes anything most likely shows it to a person."""
    scope = http(headers=[(b"accept", accept)])
    start, _ = asyncio.run(refused(GuardMiddleware(answering(), full_guard()), scope))
    assert header(start, b"content-type") == b"text/plain"


def test_a_refusal_names_its_reason_only_when_asked_to() -> None:
    middleware = GuardMiddleware(answering(), full_guard(), details=True)
    _, body = asyncio.run(refused(middleware, http(headers=[(b"accept", b"text/html")])))
    assert body["body"] == b"Service overloaded\nqueue_full\n"


def test_clients_that_are_refused_together_come_back_apart() -> None:
    middleware = GuardMiddleware(answering(), full_guard())

    async def main() -> set[bytes]:
        return {header((await refused(middleware, http()))[0], b"retry-after") for _ in range(60)}

    assert len(asyncio.run(main())) > 1


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics"])
def test_what_watches_a_service_is_never_refused(path: str) -> None:
    assert asyncio.run(refused(GuardMiddleware(answering(), full_guard()), http(path))) == OK


def test_exempt_paths_can_be_chosen() -> None:
    middleware = GuardMiddleware(answering(), full_guard(), exempt=["/ping"])
    assert asyncio.run(refused(middleware, http("/ping"))) == OK
    assert asyncio.run(refused(middleware, http("/healthz")))[0]["status"] == 503


def test_a_guard_that_is_off_lets_everything_pass() -> None:
    middleware = GuardMiddleware(answering(), full_guard(enabled=False))
    assert asyncio.run(request(middleware, http())) == OK
    assert middleware.guard.snapshot().admitted == 0


def test_lifespan_passes() -> None:
    message = {"type": "lifespan.startup.complete"}
    middleware = GuardMiddleware(answering(message), full_guard())
    assert asyncio.run(request(middleware, {"type": "lifespan"})) == [message]
    assert middleware.guard.snapshot().admitted == 0


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (204, Outcome.SUCCESS),
        (404, Outcome.IGNORED),
        (500, Outcome.FAILURE),
        (503, Outcome.DROPPED),
        (504, Outcome.DROPPED),
    ],
)
def test_the_status_tells_the_outcome(status: int, outcome: Outcome) -> None:
    start = {"type": "http.response.start", "status": status, "headers": []}
    middleware = GuardMiddleware(answering(start, {"type": "http.response.body"}))
    asyncio.run(request(middleware, http()))
    assert middleware.guard.snapshot().settled == {outcome: 1}


def test_an_application_that_raises_still_raises() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        raise ValueError("mine")

    middleware = GuardMiddleware(app)
    with pytest.raises(ValueError, match="mine"):
        asyncio.run(request(middleware, http()))
    assert middleware.guard.snapshot().settled == {Outcome.FAILURE: 1}


def test_an_application_that_never_answers_gives_its_permit_back() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()

    middleware = GuardMiddleware(app)
    assert asyncio.run(request(middleware, http())) == []
    assert middleware.guard.snapshot().settled == {Outcome.FAILURE: 1}


def test_an_application_that_answers_twice_is_handed_on_as_it_is() -> None:
    middleware = GuardMiddleware(answering(*OK, *OK))
    assert asyncio.run(request(middleware, http())) == OK + OK
    assert middleware.guard.snapshot().settled == {Outcome.SUCCESS: 1}


@pytest.mark.parametrize("message", [{}, {"type": "http.response.start"}, {"type": 7}, "text"], ids=repr)
def test_messages_that_make_no_sense_are_the_servers_to_complain_about(message: Any) -> None:
    middleware = GuardMiddleware(answering(message))
    assert asyncio.run(request(middleware, http())) == [message]
    assert middleware.guard.snapshot().in_flight == 0


def test_a_send_that_raises_reaches_the_application() -> None:
    middleware = GuardMiddleware(answering())

    async def send(message: Message) -> None:
        raise OSError("gone")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(OSError, match="gone"):
        asyncio.run(middleware(http(), receive, send))
    assert middleware.guard.snapshot().in_flight == 0


def test_a_request_past_its_deadline_is_refused_though_a_permit_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    middleware = GuardMiddleware(answering(), timeout=0.2, trusted_proxies=["127.0.0.1"])
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.0)
    sent = asyncio.run(request(middleware, http(headers=[(b"x-request-start", b"1700000000")])))
    assert sent[0]["status"] == 503
    assert middleware.guard.snapshot().refused == {Reason.DEADLINE: 1}


def test_a_timeout_sets_the_deadline_of_the_application() -> None:
    seen: list[float | None] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.append(remaining())
        await answering()(scope, receive, send)

    asyncio.run(request(GuardMiddleware(app, timeout=5.0), http()))
    assert seen[0] is not None
    assert 0.0 < seen[0] <= 5.0
    assert current_deadline.get() is None
    assert remaining() is None


def test_a_guard_that_is_off_leaves_the_deadline_to_the_application() -> None:
    """The switch is the operator's; the deadline is the application's, but not one to refuse by."""
    seen: list[float | None] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.append(remaining())
        await answering()(scope, receive, send)

    for timeout in (5.0, None):
        assert asyncio.run(request(GuardMiddleware(app, Guard(enabled=False), timeout=timeout), http())) == OK
    assert seen[0] is not None
    assert 0.0 < seen[0] <= 5.0
    assert seen[1] is None
    assert current_deadline.get() is None


def test_the_key_and_the_priority_come_from_the_scope() -> None:
    events: list[Any] = []
    guard = Guard(listeners=[events.append])
    middleware = GuardMiddleware(answering(), guard, key=lambda scope: "K", priority=lambda scope: Priority.HIGH)
    asyncio.run(request(middleware, http()))
    assert (events[0].key, events[0].priority) == ("K", Priority.HIGH)


def test_a_key_that_raises_lets_the_request_through_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def key(scope: Any) -> str:
        raise KeyError("bug")

    middleware = GuardMiddleware(answering(), key=key)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert asyncio.run(request(middleware, http())) == OK
    assert len(caplog.records) == 1


def test_an_error_inside_the_guard_lets_the_request_through(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    middleware = GuardMiddleware(answering())

    def broken(admission: Any) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(middleware.guard, "begin", broken)
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(request(middleware, http())) == OK
    assert "calls go on unguarded" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"app": None}, "app must be an ASGI application, got None"),
        ({"guard": "web"}, "guard must be a Guard or None, got 'web'"),
        ({"key": 1}, "key must be callable, or None"),
        ({"priority": 1}, "priority must be callable, or None"),
        ({"timeout": 0.0}, "timeout must be a positive number of seconds, got 0.0"),
        ({"max_streams": -1}, "max_streams must be at least 0, got -1"),
        ({"trusted_proxies": ["nowhere"]}, "trusted_proxies must be addresses, networks or"),
        ({"trusted_proxies": "10.0.0.1"}, "trusted_proxies must be a sequence"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_argument_names_itself_and_the_remedy(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GuardMiddleware(**{"app": answering(), **arguments})


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_headers_of_strangers_change_nothing(value: bytes, name: bytes) -> None:
    events: list[Any] = []
    middleware = GuardMiddleware(answering(), Guard(listeners=[events.append]), trusted_proxies=["10.0.0.0/8"])
    headers = [(b"x-request-start", value), (name, value), (b"x-queue-start", value)]
    assert asyncio.run(request(middleware, http(headers=headers))) == OK
    assert events[0].queue_time < 1.0


@given(st.binary(max_size=200))
def test_headers_of_a_trusted_proxy_never_raise(value: bytes) -> None:
    middleware = GuardMiddleware(answering(), trusted_proxies=["127.0.0.0/8", "unix"])
    assert asyncio.run(request(middleware, http(headers=[(b"x-request-start", value)]))) == OK


def test_a_trusted_stamp_counts_as_queue_time(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    middleware = GuardMiddleware(answering(), Guard(listeners=[events.append]), trusted_proxies=["127.0.0.1"])
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.5)
    asyncio.run(request(middleware, http(headers=[(b"x-request-start", b"t=1700000001.250")])))
    admitted = next(event for event in events if isinstance(event, Admitted))
    assert admitted.queue_time == pytest.approx(0.25, abs=0.05)


def test_a_dry_run_refuses_nothing() -> None:
    middleware = GuardMiddleware(answering(), full_guard(dry_run=True))

    async def main() -> list[Message]:
        admissions = [middleware.guard.admit() for _ in range(3)]
        for each in admissions:
            await each.acquire()
        sent = await request(middleware, http())
        for each in admissions:
            each.settle(Outcome.SUCCESS)
        return sent

    assert asyncio.run(main()) == OK
    assert set(middleware.guard.snapshot().refused) <= set(Reason)


def test_a_wait_that_the_application_reports_is_no_work_to_the_limit() -> None:
    """The sample of the call holds it."""
    samples: list[Sample] = []

    class Recorder(FixedLimit):
        def observe(self, sample: Sample) -> None:
            samples.append(sample)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        report_wait(0.25)
        report_wait(0.5)
        await answering()(scope, receive, send)

    asyncio.run(request(GuardMiddleware(app, Guard(Limiter(Recorder(5)))), http()))

    assert [sample.wait for sample in samples] == [0.75]


def test_a_reported_wait_outside_a_request_is_nothing() -> None:
    """Code that reports may run anywhere."""
    report_wait(1.0)

    assert current_admission.get() is None


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_wait_that_is_none_is_refused(seconds: float) -> None:
    """It would spoil what the limit learns."""
    with pytest.raises(ConfigurationError, match="seconds must be"):
        Guard().admit().waited(seconds)


@pytest.mark.parametrize("priority", [None, "high"])
def test_a_priority_that_is_none_is_a_fault_and_the_request_goes_on(priority: Any) -> None:
    """Whatever stands against it."""
    middleware = GuardMiddleware(answering(), priority=lambda scope: priority)

    assert asyncio.run(request(middleware, http())) == OK


def test_one_string_as_exempt_paths_is_a_mistake() -> None:
    """It would exempt each of its letters."""
    with pytest.raises(ConfigurationError, match="exempt must be"):
        GuardMiddleware(answering(), exempt="/healthz")
