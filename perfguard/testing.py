"""What tests of guarded code need: a clock that stands still, and a listener that remembers."""

from __future__ import annotations

import threading
from math import isfinite
from typing import TypeVar

from perfguard._checks import is_number
from perfguard.errors import ConfigurationError
from perfguard.events import Event

_E = TypeVar("_E", bound=Event)

_PATIENCE = 5.0
"""Seconds of real time for which threads may wait in vain while the clock stands still."""


class ManualClock:
    """A clock that goes on only when it is told to: `Guard(clock=ManualClock())`.

    Safe from any thread. A thread that waits in a full guard is woken within 25 ms (of
    real time) after another thread advanced the clock or gave a permit back. If for 5 s
    of real time nobody does, its `with guard.admit():` raises `RuntimeError`.

    Args:
        start: The first instant, in seconds.

    Raises:
        ConfigurationError: `start` is not a finite number.
    """

    __slots__ = ("_lock", "_now", "_waited")

    _lock: threading.Lock
    _now: float
    _waited: float

    def __init__(self, start: float = 0.0) -> None:
        if not is_number(start):
            raise ConfigurationError("start", start, "must be a finite number of seconds")
        self._lock = threading.Lock()
        self._now = float(start)
        self._waited = 0.0

    def __call__(self) -> float:
        """Return the instant, in seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"<ManualClock at {self._now:.6f} s>"

    def advance(self, seconds: float) -> float:
        """Go on by that many seconds; return the new instant.

        Raises:
            ValueError: `seconds` is negative or not finite; a monotonic clock never goes back.
        """
        if not (seconds >= 0.0 and isfinite(seconds)):
            raise ValueError(f"a clock goes on by a finite number of seconds, not by {seconds!r}")
        with self._lock:
            self._now += seconds
            self._waited = 0.0
            return self._now

    def waited(self, seconds: float) -> None:
        """Hear from a guard that a thread has waited in vain for so many seconds of real time.

        Raises:
            RuntimeError: The clock has stood still for 5 s of such waits: it would be for ever.
        """
        with self._lock:
            self._waited += seconds
            if self._waited < _PATIENCE:
                return
        raise RuntimeError(
            f"a call waits for a permit, and the ManualClock has stood still for {_PATIENCE:g} s of real time: "
            "advance it or end a call from another thread, or let the guard refuse at once, "
            "as with AdmissionQueue(min_length=1, max_length=1)"
        )


class RecordingListener:
    """Keeps every event: `Guard(listeners=[RecordingListener()])`.

    Safe from any thread.

    Attributes:
        events: What happened, oldest first.
    """

    __slots__ = ("events",)

    events: list[Event]

    def __init__(self) -> None:
        self.events = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def __len__(self) -> int:
        return len(self.events)

    def __repr__(self) -> str:
        return f"<RecordingListener of {len(self.events)} events>"

    def of(self, kind: type[_E]) -> list[_E]:
        """Return the events of one kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    def clear(self) -> None:
        """Forget what happened."""
        self.events.clear()
