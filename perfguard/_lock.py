"""The lock under which a guard decides."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class DecisionLock:
    """A lock that tells its holder from others, and takes actions for after its release.

    The garbage collector may end an abandoned call in the midst of a decision, on the
    thread that takes it, and so may a handler of the log; what then would wait for the
    decision is put off until it has been taken.

    Who decides for each call uses `acquire` and `release`: a `with` costs as much again.
    """

    __slots__ = ("_depth", "_late", "_lock")

    _depth: int
    _late: deque[Callable[[], object]]
    _lock: threading.RLock

    def __init__(self) -> None:
        self._depth = 0
        self._late = deque()
        self._lock = threading.RLock()

    def acquire(self) -> bool:
        """Wait for it; say whether this thread did not hold it already."""
        self._lock.acquire()
        self._depth += 1
        return self._depth == 1

    def release(self) -> None:
        """Let go of it, as often as it was acquired; then run what was put off."""
        self._depth -= 1
        self._lock.release()
        if self._late:
            self._catch_up()

    def later(self, action: Callable[[], object]) -> None:
        """Run an action once this thread, which holds it, has let go of it."""
        self._late.append(action)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _catch_up(self) -> None:
        while (action := self._next()) is not None:
            action()

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            # A thread that still holds it comes back here when it lets go.
            return self._late.popleft() if self._late and not self._depth else None
