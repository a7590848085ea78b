"""How a thread waits for its place in the admission queue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfguard.queueing.place import Place

TICK = 0.025
"""Seconds between two looks at places that have waited too long."""


def attach(place: Place) -> None:
    """Make `place` wakeable; called under the guard's lock."""
    event = threading.Event()
    place.signal = event
    place.wake = event.set


def wait(place: Place, clock: Callable[[], float]) -> bool:
    """Wait for the end of the queueing, one tick at most; say whether it came.

    A clock that stands still hears of the wait, if it has a method `waited` for that:
    under it nobody ever waits too long.
    """
    event: threading.Event = place.signal
    if event.wait(TICK):
        return True
    tell = getattr(clock, "waited", None)
    if tell is not None:
        tell(TICK)
    return False
