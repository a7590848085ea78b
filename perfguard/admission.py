"""One call's passage through a guard, as a context manager of either colour."""

from __future__ import annotations

from math import inf
from types import TracebackType
from typing import Protocol, Self

from perfguard.errors import ConfigurationError, Rejected
from perfguard.limits.limiter import Ticket
from perfguard.outcome import Call, Outcome
from perfguard.pipeline import Passage
from perfguard.queueing.place import Lane, Place


class Gate(Protocol):
    """What an admission asks of its guard."""

    def enter(self, admission: Admission) -> Rejected | None:
        """Admit on this thread, or return the refusal; blocks while the call must wait."""

    def begin(self, admission: Admission) -> Place | Rejected | None:
        """Admit on the running event loop, or return where the call must wait, or the refusal."""

    async def queue(self, admission: Admission, place: Place) -> Rejected | None:
        """Wait for the end of the queueing on the running event loop; return a refusal."""

    def settle(self, admission: Admission, outcome: Outcome) -> None:
        """Take the admission back."""


class Admission(Passage):
    """One call's passage: entered once, settled exactly once.

    Use it as `with guard.admit(call):` on a thread and `async with guard.admit(call):` on
    an event loop. Leaving the block settles as SUCCESS, as FAILURE after an exception,
    as DROPPED after a `TimeoutError`, and as IGNORED after a cancellation; call `settle`
    inside the block to say otherwise. Adapters use `acquire` and `settle` directly.

    An admission belongs to one call. It is not shared between threads or tasks, except
    that `settle` may be called from any.

    Attributes:
        queue_time: Seconds from arrival to admission.
        admission_time: The part of it spent in the admission queue, in seconds.
        admitted_at: The instant of admission in the guard's clock, `None` before.
        thread_time: Seconds of its service that were spent waiting for a thread of a pool.
        wait_time: Seconds of its service that were spent waiting inside this process at all.
        kept: Why its trace is to be recorded whatever was sampled; `None` if it is not.
        settled: Whether the outcome has been given.
        lane: The pacing of the event loop on which it was admitted, `None` for a thread.
    """

    __slots__ = (
        "_gate",
        "admission_time",
        "admitted_at",
        "kept",
        "lane",
        "queue_time",
        "settled",
        "thread_time",
        "wait_time",
    )

    queue_time: float
    admission_time: float
    thread_time: float
    wait_time: float
    kept: str | None
    admitted_at: float | None
    settled: bool
    lane: Lane | None
    _gate: Gate

    def __init__(self, gate: Gate, call: Call) -> None:
        self.call = call
        self.tickets = []
        self._gate = gate
        self.queue_time = 0.0
        self.admission_time = 0.0
        self.thread_time = 0.0
        self.wait_time = 0.0
        self.kept = None
        self.admitted_at = None
        self.settled = False
        self.lane = None

    def __repr__(self) -> str:
        state = "settled" if self.settled else ("new" if self.admitted_at is None else "admitted")
        return f"<Admission {self.call.key or '*'} {state}, queued {self.queue_time * 1e3:.1f} ms>"

    async def acquire(self) -> None:
        """Admit on the running event loop.

        Raises:
            Rejected: A policy refused the call.
        """
        opening = self._gate.begin(self)
        if isinstance(opening, Place):
            opening = await self._gate.queue(self, opening)
        if opening is not None:
            try:
                raise opening
            finally:
                # Its traceback holds this frame: a cycle, for the collector to find.
                del opening

    def waited(self, seconds: float) -> None:
        """Say that the call waited inside this process, as for a connection of a pool.

        Limits take it for what it is, queue and not work, without having to guess.

        Args:
            seconds: The wait, within its service time; may be told in parts.

        Raises:
            ConfigurationError: `seconds` is negative or not finite.
        """
        if not 0.0 <= seconds < inf:
            raise ConfigurationError("seconds", seconds, "must be at least 0 and finite")
        self.wait_time += seconds
        for ticket in self.tickets:
            if isinstance(ticket, Ticket):
                ticket.wait += seconds

    def waited_for_thread(self, seconds: float) -> None:
        """Say that the call waited for a thread of a pool: `waited`, and kept in `thread_time` as well.

        Args:
            seconds: The wait, within its service time; may be told in parts.

        Raises:
            ConfigurationError: `seconds` is negative or not finite.
        """
        self.waited(seconds)
        self.thread_time += seconds

    def refused_at(self, place: Place) -> Rejected | None:
        """Take the refusal out of a place whose wait is over; `None` if the call may start."""
        error, place.error = place.error, None
        if error is not None:
            self.settled = True
        return error

    def settle(self, outcome: Outcome) -> None:
        """Say how the call ended; from the second time on it does nothing."""
        if not self.settled and self.admitted_at is not None:
            self.settled = True
            self._gate.settle(self, outcome)

    def __enter__(self) -> Self:
        refusal = self._gate.enter(self)
        if refusal is not None:
            try:
                raise refusal
            finally:
                del refusal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle(outcome_of(kind))

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.settle(outcome_of(kind))


def outcome_of(kind: type[BaseException] | None) -> Outcome:
    """Return the outcome of a call that ended with an exception of that type, or none."""
    if kind is None:
        return Outcome.SUCCESS
    if issubclass(kind, TimeoutError):
        return Outcome.DROPPED
    if issubclass(kind, Exception):
        return Outcome.FAILURE
    return Outcome.IGNORED
