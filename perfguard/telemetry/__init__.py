"""Where the time went: OpenTelemetry spans and metrics with the time in queues apart from the service."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

__all__ = ["Telemetry"]

# Loaded at the first use, so that a part that is not wanted costs nothing.
_LAZY = {
    "Telemetry": "perfguard.telemetry.telemetry",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
