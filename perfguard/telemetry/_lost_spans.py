"""The count of spans that did not reach the collector."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import StrEnum
from math import inf
from threading import RLock

from opentelemetry.metrics import CallbackOptions, Observation

from perfguard.telemetry import names

_BETWEEN_WARNINGS = 60.0
"""Seconds between two warnings."""


class Why(StrEnum):
    """Why a span was lost."""

    QUEUE_FULL = "queue_full"
    """As many spans waited as may."""
    EXPORT_FAILED = "export_failed"
    """The collector did not take it, however often that was tried."""
    SHUTDOWN = "shutdown"
    """The process ended before it was exported."""


class LostSpans:
    """Counts spans that did not reach the collector, and tells the log once a minute.

    Safe from any thread, and from the garbage collector in the midst of a count.
    """

    __slots__ = ("_counts", "_lock", "_told", "_told_at")

    _counts: dict[Why, int]
    _lock: RLock
    _told: int
    _told_at: float

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget what was counted: in a forked child it is its parent's."""
        self._counts = dict.fromkeys(Why, 0)
        self._lock = RLock()
        self._told = 0
        self._told_at = -inf

    @property
    def total(self) -> int:
        """How many, for whatever reason."""
        return sum(self._counts.values())

    @property
    def failed(self) -> int:
        """How many of them the collector did not take."""
        return self._counts[Why.EXPORT_FAILED]

    def by_reason(self) -> dict[str, int]:
        """How many for each reason."""
        return {str(why): count for why, count in self._counts.items()}

    def add(self, why: Why, spans: int = 1) -> None:
        """Count spans that were lost."""
        with self._lock:
            self._counts[why] += spans

    def tell(self, now: float, *, last: bool = False) -> None:
        """Warn of what was lost since the last time, at an instant in seconds; at most once a minute.

        Not called for a request, whose time is not to be spent on the log.

        Args:
            now: The instant.
            last: Whether there will be no other time.
        """
        new = self.total - self._told
        if new and (last or now - self._told_at >= _BETWEEN_WARNINGS):
            self._told += new
            self._told_at = now
            message = "%d spans were lost on the way to the collector (since the start: %s)"
            reasons = ", ".join(f"{count} {why}" for why, count in self.by_reason().items() if count)
            logging.getLogger("perfguard").warning(message, new, reasons)

    def observations(self, options: CallbackOptions) -> Iterable[Observation]:
        """Return the counts as OpenTelemetry reads them."""
        return [Observation(count, {names.ERROR_TYPE: why}) for why, count in self.by_reason().items()]
