"""Concurrency limits: the algorithms that set them and what enforces them."""

from perfguard.limits.aimd import AIMDLimit
from perfguard.limits.fixed import FixedLimit
from perfguard.limits.gradient2 import Gradient2Limit
from perfguard.limits.keyed import KeyedLimiter
from perfguard.limits.limit import Limit, LimitChange, LimitReason, Sample
from perfguard.limits.limiter import Limiter
from perfguard.limits.littles_law import LittlesLawLimit
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
