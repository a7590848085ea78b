"""Concurrency limits: the algorithms that set them and what enforces them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from perfguard.limits.keyed import KeyedLimiter
from perfguard.limits.limit import Limit, LimitChange, LimitReason, Sample
from perfguard.limits.limiter import Limiter
from perfguard.limits.littles_law import LittlesLawLimit

if TYPE_CHECKING:
    from perfguard.limits.aimd import AIMDLimit
    from perfguard.limits.fixed import FixedLimit
    from perfguard.limits.gradient2 import Gradient2Limit
    from perfguard.limits.vegas import VegasLimit

__all__ = [
    "AIMDLimit",
    "FixedLimit",
    "Gradient2Limit",
    "KeyedLimiter",
    "Limit",
    "LimitChange",
    "LimitReason",
    "Limiter",
    "LittlesLawLimit",
    "Sample",
    "VegasLimit",
]

# Loaded at the first use: a service runs one algorithm, and mostly the default one.
_LAZY = {
    "AIMDLimit": "perfguard.limits.aimd",
    "FixedLimit": "perfguard.limits.fixed",
    "Gradient2Limit": "perfguard.limits.gradient2",
    "VegasLimit": "perfguard.limits.vegas",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
