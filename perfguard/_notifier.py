"""How events reach listeners, without ever touching a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from math import inf

from perfguard._checks import check_callable, check_text, listed
from perfguard.admission import Admission
from perfguard.errors import Rejected
from perfguard.events import Admitted, Event, Listener, Refused, Settled
from perfguard.outcome import Backpressure, Call, Outcome
from perfguard.queueing.place import Place

_BETWEEN_WARNINGS = 10.0
"""Seconds between two warnings of the same key."""

_MAX_KEYS = 1000


class Notifier:
    """Fans events out to listeners; what one of them raises is a fault.

    Safe from any thread.

    Args:
        guard: The guard's name.
        listeners: Receive every event, in order.
        fault: Receives what a listener raises, with its name.

    Attributes:
        heard: Whether anybody listens.

    Raises:
        ConfigurationError: The name is no text, or a listener not callable.
    """

    __slots__ = ("_fault", "_guard", "_listeners", "heard")

    heard: bool
    _fault: Callable[[str, BaseException], object]
    _guard: str
    _listeners: tuple[Listener, ...]

    def __init__(
        self, guard: str, listeners: Iterable[Listener], fault: Callable[[str, BaseException], object]
    ) -> None:
        check_text("name", guard)
        for listener in (heard := listed("listeners", listeners, "callables")):
            check_callable("listeners", listener, "must each be callable")
        self._guard = guard
        self._fault = fault
        self._listeners = tuple(heard)
        self.heard = bool(heard)

    def emit(self, events: Iterable[Event]) -> None:
        """Hand events to every listener."""
        for event in events:
            for listener in self._listeners:
                try:
                    listener(event)
                except BaseException as error:
                    self._fault(f"listener {listener!r}", error)

    def opened(self, admission: Admission, opening: Place | Rejected | None, now: float) -> list[Event]:
        """Return what there is to tell of a decision on a new call."""
        if opening is None:
            return [self.admitted(admission, now)]
        return [] if isinstance(opening, Place) else [self.refused(admission.call, opening, now)]

    def ended(self, places: Iterable[Place], now: float) -> list[Event]:
        """Return what there is to tell of places whose wait ended."""
        return [
            self.admitted(place.passage, now) if place.error is None else self.refused(place.call, place.error, now)
            for place in places
        ]

    def admitted(self, admission: Admission, now: float) -> Admitted:
        """Return the event of an admission."""
        return Admitted(
            guard=self._guard,
            key=admission.call.key,
            now=now,
            priority=admission.call.priority,
            queue_time=admission.queue_time,
            admission_time=admission.admission_time,
        )

    def refused(self, call: Call, error: Rejected, now: float, *, enforced: bool = True) -> Refused:
        """Return the event of a refusal."""
        return Refused(
            guard=self._guard,
            key=call.key,
            now=now,
            priority=call.priority,
            reason=error.reason,
            queue_time=0.0 if call.arrival is None else max(0.0, now - call.arrival),
            retry_after=error.retry_after,
            enforced=enforced,
        )

    def settled(self, admission: Admission, outcome: Outcome, now: float) -> Settled:
        """Return the event of a call's end."""
        return Settled(
            guard=self._guard,
            key=admission.call.key,
            now=now,
            outcome=outcome,
            queue_time=admission.queue_time,
            service_time=0.0 if admission.admitted_at is None else now - admission.admitted_at,
            thread_time=admission.thread_time,
        )


class SheddingLog:
    """Tells the log when a key begins to shed load, and when it has ceased.

    A warning at the beginning and an information at the end, at most one pair per key in
    ten seconds: a shedding that begins anew in that time is told once it is over, if it
    lasts. Called under the guard's lock, since listeners would cost an event for each
    request; it writes after that, since handlers may wait, and may look at the guard.

    Args:
        guard: The guard's name.
        later: Runs an action once the lock is let go of.
        dry_run: Whether nothing is refused in truth.
    """

    __slots__ = ("_dry_run", "_guard", "_later", "_shedding", "_warned")

    _guard: str
    _later: Callable[[Callable[[], object]], object]
    _dry_run: bool
    _shedding: dict[str, float]
    _warned: dict[str, float]

    def __init__(self, guard: str, later: Callable[[Callable[[], object]], object], *, dry_run: bool) -> None:
        self._guard = guard
        self._later = later
        self._dry_run = dry_run
        self._shedding = {}
        self._warned = {}

    def __len__(self) -> int:
        return len(self._warned)

    def __call__(self, key: str, state: Backpressure, now: float) -> None:
        """Take note of a key's state at an instant, in seconds."""
        if state is not Backpressure.SHEDDING:
            self._ended(key, now)
        elif key not in self._shedding and now - self._warned.get(key, -inf) >= _BETWEEN_WARNINGS:
            self._began(key, now)

    def _began(self, key: str, now: float) -> None:
        if len(self._warned) >= _MAX_KEYS:
            # Keys may come from clients.
            self._warned.clear()
            self._shedding.clear()
        self._shedding[key] = self._warned[key] = now
        does = "would shed load (dry run)" if self._dry_run else "sheds load"
        self._write("warning", f"guard %r {does}%s: its queue has stood for too long to be a burst", _of(key))

    def _ended(self, key: str, now: float) -> None:
        began = self._shedding.pop(key, None)
        if began is not None:
            does = "would no longer shed load (dry run)" if self._dry_run else "no longer sheds load"
            self._write("info", f"guard %r {does}%s, after %.1f s", _of(key), now - began)

    def _write(self, level: str, message: str, *details: object) -> None:
        self._later(partial(_log, level, message, self._guard, *details))


def _of(key: str) -> str:
    return f" of {key!r}" if key else ""


def _log(level: str, message: str, *details: object) -> None:
    # Loaded when there is something to say, as above.
    import logging

    # What a handler raises is none of the request's business.
    with suppress(Exception):
        getattr(logging.getLogger("perfguard"), level)(message, *details)
