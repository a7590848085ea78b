"""Where the time of requests went: what becomes of events, stamps and spans."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.proxy_clock import ProxyClockMetrics

__all__ = ["ProxyClockMetrics"]

# Loaded at the first use: each part has needs of its own.
_LAZY = {"ProxyClockMetrics": "perfguard.telemetry.proxy_clock"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
