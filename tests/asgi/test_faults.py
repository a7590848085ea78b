"""Faults around the middleware: each request goes on, each permit comes back, and the log says it once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from perfguard import Call, Guard, Limiter, LimitExceeded, Outcome, Reason
from perfguard._faults import Faults
from perfguard.asgi import GuardMiddleware
from perfguard.clock import UnfailingClock
from perfguard.events import Event, Settled
from perfguard.limits import FixedLimit, LimitChange, Sample
from perfguard.testing import ManualClock, RecordingListener
from tests.asgi.messages import OK, Message, Receive, answering, full_guard, http, request
from tests.manual_loop import turns


def fail(error: type[BaseException] = ZeroDivisionError) -> Any:
    raise error


class Connection:
    """What a server's `receive` belongs to, with the transport that a test gives it."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    async def receive(self) -> Message:
        """A whole request."""
        return {"type": "http.request", "body": b"", "more_body": False}


class Deaf:
    """A transport that cannot tell whether it closes."""

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""

    def is_closing(self) -> bool:
        """Fail."""
        raise ZeroDivisionError


class Nameless(Deaf):
    """A transport that cannot tell anything."""

    def get_extra_info(self, name: str) -> None:
        """Fail."""
        raise ZeroDivisionError


class Sealed:
    """What a server's `receive` belongs to, and does not show its transport."""

    @property
    def transport(self) -> Any:
        """Fail."""
        raise ZeroDivisionError

    async def receive(self) -> Message:
        """A whole request."""
        return {"type": "http.request", "body": b"", "more_body": False}


async def nothing() -> Any:
    """Receive what is no message."""


async def queued(middleware: GuardMiddleware, receive: Receive) -> list[Message]:
    """Serve a request that waits for the permit first; return what was sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    first = middleware.guard.admit()
    await first.acquire()
    waiting = asyncio.ensure_future(middleware(http(), receive, send))
    await turns(5)
    assert middleware.guard.snapshot().queued == 1
    first.settle(Outcome.SUCCESS)
    await waiting
    return sent


@pytest.mark.parametrize(
    "receive",
    [Connection(Deaf()).receive, Connection(Nameless()).receive, Sealed().receive, nothing],
    ids=["is_closing raises", "get_extra_info raises", "transport raises", "no message"],
)
def test_a_queued_request_of_a_strange_connection_is_served(receive: Receive) -> None:
    """The client counts as being there, and the permit comes back."""
    middleware = GuardMiddleware(answering(), full_guard())

    assert asyncio.run(queued(middleware, receive)) == OK

    assert middleware.guard.snapshot().in_flight == 0


def test_a_strange_connection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many requests come from it."""
    middleware = GuardMiddleware(answering(), full_guard())
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            asyncio.run(queued(middleware, Connection(Deaf()).receive))

    assert len(caplog.records) == 1


def test_faults_of_different_kinds_are_logged_each(caplog: pytest.LogCaptureFixture) -> None:
    """One that comes first does not hide the others."""
    middleware = GuardMiddleware(answering(), full_guard(), key=lambda scope: fail())
    with caplog.at_level(logging.ERROR):
        asyncio.run(queued(middleware, Connection(Deaf()).receive))

    assert len(caplog.records) == 2


def test_a_key_that_is_cancelled_lets_the_request_through() -> None:
    """It was called, not awaited: the cancellation is not the request's."""
    middleware = GuardMiddleware(answering(), key=lambda scope: fail(asyncio.CancelledError))

    assert asyncio.run(request(middleware, http())) == OK


def no_number() -> Any:
    return "now"


@pytest.mark.parametrize(
    "clock", [fail, lambda: fail(asyncio.CancelledError), no_number, lambda: float("nan")], ids=range(4)
)
def test_a_clock_that_fails_lets_requests_through(clock: Any) -> None:
    """And their permits come back."""
    middleware = GuardMiddleware(answering(), Guard(Limiter(FixedLimit(1)), clock=clock), timeout=1.0)

    assert [asyncio.run(request(middleware, http())) for _ in range(3)] == [OK] * 3

    assert middleware.guard.snapshot().in_flight == 0


def test_a_clock_that_fails_while_a_request_is_served_keeps_no_permit() -> None:
    """The end of the call is then taken for the last instant that is known."""
    clock = ManualClock(5.0)
    broken = False
    listener = RecordingListener()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal broken
        broken = True
        await answering()(scope, receive, send)

    guard = Guard(Limiter(FixedLimit(1)), clock=lambda: fail() if broken else clock(), listeners=[listener])
    asyncio.run(request(GuardMiddleware(app, guard), http()))

    assert guard.snapshot().in_flight == 0
    assert [each.now for each in listener.of(Settled)] == [5.0]


def test_a_clock_that_works_again_is_read_again() -> None:
    """It stood still meanwhile."""
    instants = iter([1.0, "no instant", 3.0])
    faults: list[str] = []
    clock = UnfailingClock(lambda: next(instants), lambda where, error: faults.append(where))  # type: ignore[arg-type, return-value] # Wrong on purpose.

    assert [clock() for _ in range(3)] == [1.0, 1.0, 3.0]
    assert faults == ["the clock"]


class Limit:
    """A limit that does what a test says.

    Args:
        limit: The calls in flight.
        answer: What it makes of each sample.
    """

    def __init__(self, limit: Any, answer: Any) -> None:
        self.limit = limit
        self.answer = answer

    @property
    def value(self) -> int:
        """The concurrency limit."""
        limit: int = self.limit()
        return limit

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn."""
        change: LimitChange | None = self.answer()
        return change


@pytest.mark.parametrize(
    "answer", [fail, lambda: fail(asyncio.CancelledError), lambda: "more"], ids=["raises", "is cancelled", "no change"]
)
def test_a_limit_that_cannot_learn_keeps_no_permit(answer: Any) -> None:
    """Requests are served and answered as before, with their events."""
    listener = RecordingListener()
    guard = Guard(Limiter(Limit(lambda: 1, answer)), listeners=[listener])
    middleware = GuardMiddleware(answering(), guard)

    assert [asyncio.run(request(middleware, http())) for _ in range(3)] == [OK] * 3

    assert guard.snapshot().in_flight == 0


def test_a_limit_without_a_value_fails_no_request_that_ends() -> None:
    """Who waits behind it is another matter: the queue refuses those in time."""
    limit = Limit(lambda: 1, lambda: None)
    guard = Guard(Limiter(limit))

    async def main() -> None:
        first = guard.admit()
        guard.enter(first)
        waiting = asyncio.ensure_future(guard.admit().acquire())
        await turns(3)
        limit.limit = fail
        first.settle(Outcome.SUCCESS)
        limit.limit = lambda: 1
        await waiting

    asyncio.run(main())

    assert guard.snapshot().in_flight == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, GeneratorExit])
def test_whatever_a_listener_raises_the_request_is_served(error: type[BaseException]) -> None:
    """And its permit comes back."""

    def listener(event: Event) -> None:
        raise error

    middleware = GuardMiddleware(answering(), full_guard(listeners=[listener]))

    assert [asyncio.run(request(middleware, http())) for _ in range(3)] == [OK] * 3

    assert middleware.guard.snapshot().in_flight == 0


class Cancelled:
    """A policy that raises a cancellation where a test says.

    Args:
        where: The method.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    def admit(self, call: Call, now: float) -> None:
        """Admit."""
        if self.where == "admit":
            raise asyncio.CancelledError

    def settle(self, ticket: None, outcome: Outcome, now: float) -> None:
        """Settle."""
        if self.where == "settle":
            raise asyncio.CancelledError


@pytest.mark.parametrize("where", ["admit", "settle"])
def test_a_policy_that_is_cancelled_lets_the_request_through(where: str) -> None:
    """The limiter further out gets its ticket back."""
    guard = Guard(Limiter(FixedLimit(1)), Cancelled(where))
    middleware = GuardMiddleware(answering(), guard)

    assert [asyncio.run(request(middleware, http())) for _ in range(3)] == [OK] * 3

    assert guard.snapshot().in_flight == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_no_fault(error: type[BaseException]) -> None:
    """It goes on to whoever waits for it."""
    with pytest.raises(error):
        Faults("a test").report("here", error())


class Refusing:
    """A policy that refuses, and cannot say when to come back."""

    def admit(self, call: Call, now: float) -> None:
        """Refuse."""
        raise LimitExceeded(Reason.QUEUE_FULL, float("nan"))

    def settle(self, ticket: None, outcome: Outcome, now: float) -> None:
        """Hold nothing."""


def test_a_refusal_that_cannot_be_rendered_is_a_plain_one() -> None:
    """The client still hears of it."""
    start, body = asyncio.run(request(GuardMiddleware(answering(), Guard(Refusing())), http()))

    assert (start["status"], body["body"]) == (503, b"")
