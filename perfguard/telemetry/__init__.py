"""Where the time went: OpenTelemetry spans and metrics with the time in queues apart from the service."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfguard.telemetry.configuration import Configuration, configure
    from perfguard.telemetry.logs import RequestFilter
    from perfguard.telemetry.sampler import PerfguardSampler
    from perfguard.telemetry.telemetry import Telemetry

__all__ = ["Configuration", "PerfguardSampler", "RequestFilter", "Telemetry", "configure"]

# Loaded at the first use, so that a part that is not wanted costs nothing.
_LAZY = {
    "Configuration": "perfguard.telemetry.configuration",
    "PerfguardSampler": "perfguard.telemetry.sampler",
    "RequestFilter": "perfguard.telemetry.logs",
    "configure": "perfguard.telemetry.configuration",
    "Telemetry": "perfguard.telemetry.telemetry",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
