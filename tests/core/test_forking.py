"""A guard that was built before a fork: what a child keeps of its parent, and what it leaves to it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from perfguard import AdmissionQueue, Backpressure, Call, KeyedLimiter, Limiter, LimitExceeded, Outcome, Reason
from perfguard.limits import AIMDLimit, FixedLimit
from perfguard.limits.limiter import Ticket
from perfguard.pipeline import Pipeline
from perfguard.queueing import Place
from perfguard.stats.profile import ThroughputProfile

SETUP = """
import asyncio, os, threading
from perfguard import AdmissionQueue, Call, Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit

def one(key=""):
    return Limiter(FixedLimit(1), AdmissionQueue(target=9.0, max_wait=9.0), key=key)

def counts(guard):
    state = guard.snapshot()
    return state.in_flight, state.queued
"""

FORK = """
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def fork(parent: str, child: str) -> None:
    """Run code in a new process and then more in a fork of it, which must get to its end."""
    code = [SETUP, textwrap.dedent(parent), FORK, textwrap.dedent(child), "os._exit(7)"]
    command = [sys.executable, "-c", "\n".join(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr


def test_a_forked_child_has_a_lock_of_its_own() -> None:
    """A thread that decided in the parent is not there to release it."""
    fork(
        """
        guard, unused = Guard(), Guard()
        del unused
        guard._lock.__enter__()
        """,
        """
        with guard.admit():
            assert counts(guard) == (1, 0)
        """,
    )


def test_a_forked_child_has_the_permits_of_calls_in_flight_in_its_parent() -> None:
    """They would never come back in the child, which would refuse everything."""
    fork(
        """
        guard = Guard(one())
        guard.enter(guard.admit())
        """,
        """
        assert counts(guard) == (0, 0)
        with guard.admit():
            assert counts(guard) == (1, 0)
        """,
    )


def test_a_forked_child_has_none_of_the_calls_that_wait_in_its_parent() -> None:
    """Nobody in the child would start them, and they would hold back whoever comes."""
    fork(
        """
        guard = Guard(one())
        guard.enter(guard.admit())
        loop = asyncio.new_event_loop()

        async def queue():
            guard.begin(guard.admit())

        loop.run_until_complete(queue())
        assert counts(guard) == (1, 1)
        """,
        """
        assert counts(guard) == (0, 0)
        with guard.admit():
            assert counts(guard) == (1, 0)
        """,
    )


def test_a_call_that_forks_and_ends_in_the_child_gives_no_permit_back_there() -> None:
    """The child holds none of it; the parent gives it back."""
    fork(
        """
        guard = Guard(one())
        forking = guard.admit()
        guard.enter(forking)
        """,
        """
        forking.__exit__(None, None, None)
        assert counts(guard) == (0, 0)
        assert guard.snapshot().settled == {}
        """,
    )


def test_a_call_that_waited_in_the_parent_and_is_abandoned_in_the_child_leaves_its_queue_alone() -> None:
    """So the garbage collector ends a task that was copied with its event loop."""
    fork(
        """
        guard = Guard(one())
        guard.enter(guard.admit())
        loop = asyncio.new_event_loop()

        async def queue():
            waiting = guard.admit().acquire()
            waiting.send(None)
            return waiting

        waiting = loop.run_until_complete(queue())
        """,
        """
        waiting.close()
        assert counts(guard) == (0, 0)
        """,
    )


def test_a_forked_child_counts_its_own_calls_alone() -> None:
    """Or the calls of the parent would count once for each worker."""
    fork(
        """
        guard = Guard(one())
        with guard.admit():
            pass
        """,
        """
        assert (guard.snapshot().admitted, guard.snapshot().settled) == (0, {})
        """,
    )


def test_every_key_starts_afresh_in_a_forked_child() -> None:
    """Each limiter has its permits, and no key waits."""
    fork(
        """
        guard = Guard(KeyedLimiter(one))
        for key in ("a", "b"):
            guard.enter(guard.admit(Call(key=key)))
        """,
        """
        assert counts(guard) == (0, 0)
        for key in ("a", "b"):
            with guard.admit(Call(key=key)):
                assert counts(guard) == (1, 0)
        """,
    )


STREAMING = """
from perfguard.asgi import GuardMiddleware

START = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}
SCOPE = {"type": "http", "path": "/", "headers": [], "client": None}

class Forever:
    def __await__(self):
        yield

async def app(scope, receive, send):
    await send(START)
    await send(PART)
    await Forever()

async def nothing(message=None):
    pass

middleware = GuardMiddleware(app)

async def open_one():
    stream = middleware(SCOPE, nothing, nothing)
    stream.send(None)
    return stream

stream = asyncio.new_event_loop().run_until_complete(open_one())
assert "1 streams open" in repr(middleware)
"""


def test_no_stream_is_open_in_a_forked_child() -> None:
    """Their cap would fill up with those of the parent."""
    fork(STREAMING, 'assert "0 streams open" in repr(middleware)')


def test_a_stream_of_the_parent_that_is_closed_in_the_child_is_not_counted_there() -> None:
    """The count would fall below zero, and the cap rise."""
    fork(
        STREAMING,
        """
        import contextlib
        with contextlib.suppress(ValueError):  # Its context variables are those of its task.
            stream.close()
        assert "0 streams open" in repr(middleware)
        """,
    )


def test_a_limiter_that_starts_afresh_keeps_what_its_limit_learnt() -> None:
    """The child serves the same machine."""
    limiter = Limiter(AIMDLimit(initial=50))
    ticket = limiter.admit(Call(), 0.0)
    assert isinstance(ticket, Ticket)
    limiter.settle(ticket, Outcome.DROPPED, 0.1)
    learnt = limiter.limit.value

    limiter.start_afresh(0.2)

    assert limiter.limit.value == learnt < 50


def test_a_queue_that_starts_afresh_is_no_longer_overloaded() -> None:
    """The backlog was the parent's."""
    queue = AdmissionQueue()
    for now in (0.0, 0.05, 0.2):
        queue.watch(now - 1.0, now, 0)
    before = queue.state

    queue.start_afresh()

    assert (before, queue.state) == (Backpressure.SHEDDING, Backpressure.NORMAL)


def test_a_queue_that_starts_afresh_keeps_its_departure_rate() -> None:
    """It says what the service can do."""
    queue = AdmissionQueue()
    for place in [queue.offer(Call(), 0.0) for _ in range(5)][:3]:
        queue.take(place, place.queued_at + 0.1)
    rate = queue.departure_rate(0.1)

    queue.start_afresh()

    assert queue.departure_rate(9.0) == rate is not None


def test_a_keyed_limiter_that_starts_afresh_has_no_key_waiting() -> None:
    """Places of the parent have nobody to start them."""
    keyed = KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key))
    keyed.admit(Call(key="a"), 0.0)
    assert isinstance(keyed.admit(Call(key="a"), 0.0), Place)

    keyed.start_afresh(0.1)

    assert not keyed
    assert keyed.head(0.1) is None


class Spent(ThroughputProfile):
    """A profile that remembers what it was told."""

    def __init__(self, now: float) -> None:
        super().__init__(now)
        self.told: list[tuple[int, float]] = []

    def spent(self, in_flight: int, now: float) -> None:
        """Remember."""
        self.told.append((in_flight, now))


def test_a_dry_run_that_starts_afresh_counts_the_calls_of_the_parent_until_then() -> None:
    """The advice is by time spent at each number in flight."""
    limiter = Limiter(FixedLimit(1))
    limiter.force(Call(), 0.0)
    profile = limiter.profile = Spent(0.0)

    limiter.start_afresh(2.0)

    assert profile.told == [(1, 2.0)]


class Capacity:
    """A policy of two methods, which holds what it let start."""

    def admit(self, call: Call, now: float) -> None:
        """Refuse, once it was asked."""
        raise LimitExceeded(Reason.QUEUE_FULL)

    def settle(self, ticket: None, outcome: Outcome, now: float) -> None:
        """Hold nothing."""


class Failing(Capacity):
    """A policy with a bug in its third."""

    def start_afresh(self, now: float) -> None:
        """Fail."""
        raise ZeroDivisionError


def test_a_policy_need_not_know_of_forks() -> None:
    """Two methods are enough."""
    limiter = Limiter(FixedLimit(1))
    limiter.force(Call(), 0.0)

    Pipeline(Capacity(), limiter).start_afresh(0.1)

    assert limiter.in_flight == 0


def test_a_policy_that_fails_to_start_afresh_keeps_no_other_from_it() -> None:
    """The guard hears of the fault, to log it."""
    limiter = Limiter(FixedLimit(1))
    limiter.force(Call(), 0.0)

    with pytest.raises(ZeroDivisionError):
        Pipeline(Failing(), limiter).start_afresh(0.1)

    assert limiter.in_flight == 0


def test_a_fault_while_starting_afresh_breaks_no_call() -> None:
    """It is logged in the child."""
    fork(
        """
        class Failing:
            def admit(self, call, now):
                pass

            def settle(self, ticket, outcome, now):
                pass

            def start_afresh(self, now):
                raise ZeroDivisionError

        import logging
        logged = []
        logging.getLogger("perfguard").addFilter(logged.append)
        guard = Guard(Failing(), one())
        """,
        """
        assert len(logged) == 1
        with guard.admit():
            assert counts(guard) == (1, 0)
        """,
    )
