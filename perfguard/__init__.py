"""Overload protection for Python web services."""

from perfguard.admission import Admission
from perfguard.errors import (
    ConfigurationError,
    DeadlineExceeded,
    LimitExceeded,
    PerfguardError,
    QueueTimeout,
    Rejected,
)
from perfguard.guard import Guard
from perfguard.limits.keyed import KeyedLimiter
from perfguard.limits.limiter import Limiter
from perfguard.outcome import Backpressure, Call, Outcome, Priority, Reason
from perfguard.queueing.queue import AdmissionQueue
from perfguard.snapshot import GuardSnapshot

__all__ = [
    "Admission",
    "AdmissionQueue",
    "Backpressure",
    "Call",
    "ConfigurationError",
    "DeadlineExceeded",
    "Guard",
    "GuardSnapshot",
    "KeyedLimiter",
    "LimitExceeded",
    "Limiter",
    "Outcome",
    "PerfguardError",
    "Priority",
    "QueueTimeout",
    "Reason",
    "Rejected",
]

__version__ = "0.1.0"
