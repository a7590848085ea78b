"""Where the time went, told by OpenTelemetry: what runs beside the requests."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.loop_watch import LoopWatch, delay_histogram
    from perfguard.telemetry.stall import Stall
    from perfguard.telemetry.thread_pools import ThreadPools

__all__ = ["LoopWatch", "Stall", "ThreadPools", "delay_histogram"]

# Loaded at the first use: services on threads have no event loop, and need no asyncio.
_LAZY = {
    "LoopWatch": "perfguard.telemetry.loop_watch",
    "Stall": "perfguard.telemetry.stall",
    "ThreadPools": "perfguard.telemetry.thread_pools",
    "delay_histogram": "perfguard.telemetry.loop_watch",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
