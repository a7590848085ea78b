"""Keeps a collector that does not answer from filling the log."""

from __future__ import annotations

import logging
import time

_BETWEEN = 60.0
"""Seconds between two lines of the same kind."""

# Those that write once for each batch that fails; a logger's filter does not see what comes from loggers below it.
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.http.transport",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.trace.export",
    "opentelemetry.sdk.metrics._internal.export",
)


class OncePerMinute(logging.Filter):
    """Lets a line of each kind pass once a minute, and says there how many did not.

    Safe from any thread.

    Attributes:
        suppressed: Lines that did not pass, in all.
    """

    suppressed: int
    _passed: dict[tuple[str, int, str], float]
    _held: dict[tuple[str, int, str], int]

    def __init__(self) -> None:
        super().__init__()
        self.suppressed = 0
        self._passed = {}
        self._held = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may pass."""
        return self.passes(record, time.monotonic())

    def passes(self, record: logging.LogRecord, now: float) -> bool:
        """Say whether a record may pass at an instant, in seconds."""
        kind = (record.name, record.levelno, str(record.msg))
        last = self._passed.get(kind)
        if last is not None and now - last < _BETWEEN:
            self.suppressed += 1
            self._held[kind] = self._held.get(kind, 0) + 1
            return False
        self._passed[kind] = now
        held = self._held.pop(kind, 0)
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
