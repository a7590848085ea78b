"""How events reach listeners, and faults the log, without ever touching a request."""

from __future__ import annotations

from collections.abc import Iterable

from perfguard._checks import check_callable, check_text, listed
from perfguard.admission import Admission
from perfguard.errors import Rejected
from perfguard.events import Admitted, Event, Listener, Refused, Settled
from perfguard.outcome import Call, Outcome


class Notifier:
    """Fans events out to listeners; a listener that raises is logged once.

    Safe from any thread.

    Args:
        guard: The guard's name.
        listeners: Receive every event, in order.

    Raises:
        ConfigurationError: The name is no text, or a listener not callable.
    """

    __slots__ = ("_guard", "_listeners", "_logged")

    _guard: str
    _listeners: tuple[Listener, ...]
    _logged: set[str]

    def __init__(self, guard: str, listeners: Iterable[Listener]) -> None:
        check_text("name", guard)
        for listener in (heard := listed("listeners", listeners, "callables")):
            check_callable("listeners", listener, "must each be callable")
        self._guard = guard
        self._listeners = tuple(heard)
        self._logged = set()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def emit(self, events: Iterable[Event]) -> None:
        """Hand events to every listener."""
        for event in events:
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception as error:
                    self.fault(f"listener {listener!r}", error)

    def fault(self, where: str, error: Exception) -> None:
        """Log an unexpected error, once per place and type."""
        kind = f"{where}: {type(error).__name__}"
        if kind not in self._logged:
            self._logged.add(kind)
            # Loaded when there is something to say, so that `import perfguard` stays cheap.
            import logging

            logging.getLogger("perfguard").error(
                "guard %r: unexpected error in %s; calls go on unguarded",
                self._guard,
                where,
                exc_info=error,
            )

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
        )
