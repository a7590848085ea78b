"""Which queued call goes next, and which goes when there is no room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from perfguard.outcome import Priority
from perfguard.queueing.place import Place


class PriorityLine:
    """Places in priority order; first or last come, first served within a priority.

    A place that was withdrawn stays where it stands and is stepped over later, so
    that withdrawing costs the same however long the line is.

    Attributes:
        length: Places that wait.
    """

    __slots__ = ("_classes", "length")

    length: int
    _classes: tuple[deque[Place], ...]

    def __init__(self) -> None:
        self._classes = tuple(deque() for _ in Priority)
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def append(self, place: Place) -> None:
        """Add a place at the end of its priority's line."""
        self._classes[place.call.priority].append(place)
        self.length += 1

    def head(self, *, lifo: bool) -> Place | None:
        """Return the place that goes next, and leave it there."""
        if self.length:
            for line in self._classes:
                end = _trimmed(line, -1 if lifo else 0)
                if end is not None:
                    return end
        return None

    def waiting(self, *, lifo: bool) -> Iterator[Place]:
        """Yield the places in the order in which they go; the line must not change meanwhile."""
        for line in self._classes:
            for place in reversed(line) if lifo else line:
                if place.waiting:
                    yield place

    def oldest(self, priority: Priority) -> Place | None:
        """Return the oldest waiting place of a priority."""
        return _trimmed(self._classes[priority], 0)

    def lowest(self, below: Priority, *, lifo: bool) -> Place | None:
        """Return the place that would go last, if its priority is lower than `below`."""
        for priority in range(len(self._classes) - 1, below, -1):
            end = _trimmed(self._classes[priority], 0 if lifo else -1)
            if end is not None:
                return end
        return None

    def ahead_of(self, priority: Priority, *, lifo: bool) -> int:
        """Return how many places go before a newcomer of that priority, at most."""
        last = priority if lifo else priority + 1
        return min(self.length, sum(map(len, self._classes[:last])))

    def withdraw(self, place: Place) -> None:
        """Take a place out, wherever it stands."""
        if place.waiting:
            place.waiting = False
            self.length -= 1
            line = self._classes[place.call.priority]
            _trimmed(line, 0)
            _trimmed(line, -1)
            if len(line) > 2 * self.length + 16:
                _compact(line)


def _trimmed(line: deque[Place], end: int) -> Place | None:
    while line:
        if line[end].waiting:
            return line[end]
        if end:
            line.pop()
        else:
            line.popleft()
    return None


def _compact(line: deque[Place]) -> None:
    waiting = [place for place in line if place.waiting]
    line.clear()
    line.extend(waiting)
