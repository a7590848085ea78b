"""An event loop whose timers follow a manual clock, so that what waits for them can be tested without waiting."""

from __future__ import annotations

import asyncio

from perfguard.testing import ManualClock


class ManualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop of the selector kind; its `time` is a clock's.

    It must never be idle: a coroutine that runs on it awaits `asyncio.sleep(0)`, not a timer.

    Args:
        clock: The time.
    """

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._manual = clock

    def time(self) -> float:
        """Return the instant, in seconds."""
        return self._manual()


async def turns(count: int) -> None:
    """Let the running loop go round that many times."""
    for _ in range(count):
        await asyncio.sleep(0)
