"""How events reach listeners, without ever touching a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from perfguard.admission import Admission
from perfguard.errors import ConfigurationError, Rejected
from perfguard.events import Admitted, Event, Listener, Refused, Settled
from perfguard.outcome import Call, Outcome
from perfguard.queueing.place import Place


class Notifier:
    """Fans events out to listeners; what one of them raises is a fault.

    Safe from any thread.

    Args:
        guard: The guard's name.
        listeners: Receive every event, in order.
        fault: Receives what a listener raises, with its name.

    Raises:
        ConfigurationError: A listener is not callable.
    """

    __slots__ = ("_fault", "_guard", "_listeners")

    _fault: Callable[[str, BaseException], object]
    _guard: str
    _listeners: tuple[Listener, ...]

    def __init__(
        self, guard: str, listeners: Iterable[Listener], fault: Callable[[str, BaseException], object]
    ) -> None:
        self._guard = guard
        self._fault = fault
        self._listeners = tuple(listeners)
        for listener in self._listeners:
            if not callable(listener):
                raise ConfigurationError("listeners", listener, "must each be callable")

    def __bool__(self) -> bool:
        return bool(self._listeners)

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
            service_time=now - (admission.admitted_at or now),
        )
