"""Where the time went: OpenTelemetry spans and metrics with the time in queues apart from the service."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.configuration import Configuration, configure
    from perfguard.telemetry.logs import RequestFilter
    from perfguard.telemetry.loop_watch import LoopWatch, delay_histogram
    from perfguard.telemetry.proxy_clock import ProxyClockMetrics
    from perfguard.telemetry.sampler import PerfguardSampler
    from perfguard.telemetry.serial import Independence, SerialReport, serial_report
    from perfguard.telemetry.stall import Stall
    from perfguard.telemetry.telemetry import Telemetry
    from perfguard.telemetry.thread_pools import ThreadPools
    from perfguard.telemetry.trace_file import RecordedSpan, TraceFileError, read_spans

__all__ = [
    "Configuration",
    "Independence",
    "LoopWatch",
    "PerfguardSampler",
    "ProxyClockMetrics",
    "RecordedSpan",
    "RequestFilter",
    "SerialReport",
    "Stall",
    "Telemetry",
    "ThreadPools",
    "TraceFileError",
    "configure",
    "delay_histogram",
    "read_spans",
    "serial_report",
]

# Loaded at the first use, so that a part that is not wanted costs nothing.
_LAZY = {
    "Configuration": "perfguard.telemetry.configuration",
    "Independence": "perfguard.telemetry.serial",
    "LoopWatch": "perfguard.telemetry.loop_watch",
    "PerfguardSampler": "perfguard.telemetry.sampler",
    "ProxyClockMetrics": "perfguard.telemetry.proxy_clock",
    "RecordedSpan": "perfguard.telemetry.trace_file",
    "RequestFilter": "perfguard.telemetry.logs",
    "SerialReport": "perfguard.telemetry.serial",
    "Stall": "perfguard.telemetry.stall",
    "Telemetry": "perfguard.telemetry.telemetry",
    "ThreadPools": "perfguard.telemetry.thread_pools",
    "TraceFileError": "perfguard.telemetry.trace_file",
    "configure": "perfguard.telemetry.configuration",
    "delay_histogram": "perfguard.telemetry.loop_watch",
    "read_spans": "perfguard.telemetry.trace_file",
    "serial_report": "perfguard.telemetry.serial",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
