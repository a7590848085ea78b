"""Where the time went: OpenTelemetry spans and metrics with the time in queues apart from the service."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.configuration import Configuration, configure
    from perfguard.telemetry.logs import RequestFilter
    from perfguard.telemetry.loop_watch import LoopWatch, delay_histogram
    from perfguard.telemetry.sampler import PerfguardSampler
    from perfguard.telemetry.stall import Stall
    from perfguard.telemetry.telemetry import Telemetry
    from perfguard.telemetry.thread_pools import ThreadPools

__all__ = [
    "Configuration",
    "LoopWatch",
    "PerfguardSampler",
    "RequestFilter",
    "Stall",
    "Telemetry",
    "ThreadPools",
    "configure",
    "delay_histogram",
]

# Loaded at the first use, so that a part that is not wanted costs nothing.
_LAZY = {
    "Configuration": "perfguard.telemetry.configuration",
    "LoopWatch": "perfguard.telemetry.loop_watch",
    "PerfguardSampler": "perfguard.telemetry.sampler",
    "RequestFilter": "perfguard.telemetry.logs",
    "Stall": "perfguard.telemetry.stall",
    "Telemetry": "perfguard.telemetry.telemetry",
    "ThreadPools": "perfguard.telemetry.thread_pools",
    "configure": "perfguard.telemetry.configuration",
    "delay_histogram": "perfguard.telemetry.loop_watch",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
