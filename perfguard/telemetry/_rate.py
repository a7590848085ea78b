"""How many spans of refusals are made, and for how many refusals each of them stands."""

from __future__ import annotations

from math import inf
from threading import Lock


class SpanRate:
    """Picks refusals that get a span, at most so many in a second, and counts for how many each stands.

    Safe from any thread.

    Args:
        most: How many spans a second.
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

    def take(self, now: float) -> int:
        """Count a refusal at an instant, in seconds; return for how many a span is to stand, 0 for no span."""
        with self._lock:
            self._untold += 1
            if now - self._since >= 1.0:
                self._since = now
                self._left = self._most
            if not self._left:
                return 0
            self._left -= 1
            count, self._untold = self._untold, 0
            return count

    def give_back(self, count: int) -> None:
        """Let the next span stand for these refusals as well: the sampler did not want this one."""
        with self._lock:
            self._untold += count
