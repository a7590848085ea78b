"""Where a stall is told: on the span of the request that holds the loop, else in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from perfguard.telemetry import names
from perfguard.telemetry.stall import Stall

if TYPE_CHECKING:
    from opentelemetry.trace import Span

BETWEEN_LINES = 10.0
"""Seconds between two lines in the log."""

Owner = Callable[[asyncio.Task[Any] | None], "Span | None"]
"""Returns the span of the request that a task serves, `None` if it is not known."""

_logger = logging.getLogger("perfguard")


class StallReports:
    """Tells each stall once, on the thread of the watchdog.

    Args:
        owner: Returns the span to tell it to.
        clock: Seconds, monotonic, for the pace of the log.
    """

    __slots__ = ("_clock", "_next_line", "_owner", "_untold")

    _owner: Owner
    _clock: Callable[[], float]
    _next_line: float
    _untold: int

    def __init__(self, owner: Owner, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._clock = clock
        self._next_line = -inf
        self._untold = 0

    def __call__(self, stall: Stall, task: asyncio.Task[Any] | None) -> None:
        """Tell a stall of the loop that runs a task, or a callback outside of tasks."""
        span = self._owner(task)
        if span is not None and span.is_recording():
            span.add_event(names.STALL, stall.attributes())
        else:
            self._log(stall, self._clock())

    def _log(self, stall: Stall, now: float) -> None:
        if now < self._next_line:
            self._untold += 1
            return
        self._next_line = now + BETWEEN_LINES
        message = "the event loop has been stuck for %.0f ms in %s (%s:%d), at %s%s\n%s"
        more = f"; {self._untold} other stalls since the last such line" if self._untold else ""
        where = stall.function, stall.path, stall.line, stall.innermost
        self._untold = 0
        _logger.warning(message, stall.delay * 1e3, *where, more, stall.stacktrace)
