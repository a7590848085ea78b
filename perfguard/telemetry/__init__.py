"""Where the time went: OpenTelemetry spans and metrics with the time in queues apart from the service."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.proxy_clock import ProxyClockMetrics
    from perfguard.telemetry.serial import Independence, SerialReport, serial_report
    from perfguard.telemetry.telemetry import Telemetry
    from perfguard.telemetry.trace_file import RecordedSpan, TraceFileError, read_spans

__all__ = [
    "Independence",
    "ProxyClockMetrics",
    "RecordedSpan",
    "SerialReport",
    "Telemetry",
    "TraceFileError",
    "read_spans",
    "serial_report",
]

# Loaded at the first use, so that a part that is not wanted costs nothing.
_LAZY = {
    "Independence": "perfguard.telemetry.serial",
    "ProxyClockMetrics": "perfguard.telemetry.proxy_clock",
    "RecordedSpan": "perfguard.telemetry.trace_file",
    "SerialReport": "perfguard.telemetry.serial",
    "Telemetry": "perfguard.telemetry.telemetry",
    "TraceFileError": "perfguard.telemetry.trace_file",
    "read_spans": "perfguard.telemetry.trace_file",
    "serial_report": "perfguard.telemetry.serial",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
