"""Keeps a collector that does not answer from filling the log."""

from __future__ import annotations

import logging
import time
from math import inf

_BETWEEN = 60.0
"""Seconds between two lines of the same kind."""

_MOST_KINDS = 100

# Those that write once for each batch that fails; a logger's filter does not see what comes from loggers below it.
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.sdk.metrics._internal.export",
)


class OncePerMinute(logging.Filter):
    """Lets a line of each kind pass once a minute, and says there how many did not.

    Safe from any thread.

    Attributes:
        suppressed: Lines that did not pass, in all.
    """

    suppressed: int
    _passed: dict[tuple[str, int, str], tuple[float, int]]

    def __init__(self) -> None:
        super().__init__()
        self.suppressed = 0
        self._passed = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may pass."""
        return self.passes(record, time.monotonic())

    def passes(self, record: logging.LogRecord, now: float) -> bool:
        """Say whether a record may pass at an instant, in seconds."""
        kind = (record.name, record.levelno, str(record.msg))
        last, held = self._passed.get(kind, (-inf, 0))
        if now - last < _BETWEEN:
            self.suppressed += 1
            self._passed[kind] = last, held + 1
            return False
        if len(self._passed) >= _MOST_KINDS:
            # A text may hold what a collector answered.
            self._passed.clear()
        self._passed[kind] = now, 0
        if held:
            record.msg = f"{record.getMessage()} (and {held} more like it)"
            record.args = ()
        return True


def quieten() -> OncePerMinute:
    """Put one filter on the loggers of the exporters, and return it."""
    once = OncePerMinute()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(once)
    return once
