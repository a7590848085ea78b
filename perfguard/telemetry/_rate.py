"""How many refusals are recorded one by one, and for how many others each of them stands."""

from __future__ import annotations

from math import inf
from threading import Lock


class Rate:
    """Picks at most so many of a kind in a second, and counts for how many each of them stands.

    Safe from any thread.

    Args:
        most: How many a second.
    """

    __slots__ = ("_left", "_lock", "_most", "_since", "_untold")

    _most: int
    _left: int
    _untold: int
    _since: float
    _lock: Lock

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._untold = 0
        self._since = -inf
        self._lock = Lock()

    def take(self, now: float, count: int = 1) -> int:
        """Count so many at an instant, in seconds; return for how many one of them stands, 0 if it is not picked."""
        with self._lock:
            self._untold += count
            if now - self._since >= 1.0:
                self._since = now
                self._left = self._most
            if not self._left:
                return 0
            self._left -= 1
            stands, self._untold = self._untold, 0
            return stands

    def give_back(self, count: int) -> None:
        """Let the next one stand for these as well."""
        with self._lock:
            self._untold += count
