"""The lock under which a guard decides."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class DecisionLock:
    """A lock whose holder can be told, and which takes actions for after its release.

    The garbage collector may end an abandoned call in the midst of a decision, on the
    thread that takes it, and so may a handler of the log; what then would wait for the
    decision is put off until it has been taken.
    """

    __slots__ = ("_depth", "_late", "_lock", "_owner")

    _depth: int
    _late: deque[Callable[[], object]]
    _lock: threading.RLock
    _owner: int

    def __init__(self) -> None:
        self._depth = 0
        self._late = deque()
        self._lock = threading.RLock()
        self._owner = 0

    @property
    def mine(self) -> bool:
        """Whether this thread holds it."""
        return self._owner == threading.get_ident()

    def later(self, action: Callable[[], object]) -> None:
        """Run an action once this thread has let go of it."""
        self._late.append(action)

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
        self._lock.release()
        while self._late and not self.mine:
            self._late.popleft()()
