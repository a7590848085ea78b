"""The exception tree; a refusal carries its own reason and when to come back."""

from __future__ import annotations

from perfguard.outcome import Reason


class PerfguardError(Exception):
    """The base of every error that perfguard raises on purpose."""


class ConfigurationError(PerfguardError, ValueError):
    """An argument is wrong; raised when the object is built, never at a request.

    Args:
        name: The parameter.
        value: What was given.
        remedy: What would be right, as in "must be at least 1".
    """

    name: str
    value: object
    remedy: str

    def __init__(self, name: str, value: object, remedy: str) -> None:
        super().__init__(f"{name} {remedy}, got {value!r}")
        self.name = name
        self.value = value
        self.remedy = remedy


class Rejected(PerfguardError):
    """A policy refused the call.

    Args:
        reason: Why.
        retry_after: Seconds until a new attempt has a chance, before jitter; what is
            shown or sent to clients is at least 1.
    """

    reason: Reason
    retry_after: float

    def __init__(self, reason: Reason, retry_after: float = 1.0) -> None:
        super().__init__(reason, retry_after)
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        # As in `Retry-After`: to come back at once is no advice after a refusal.
        return f"rejected: {self.reason} (retry after {max(1.0, self.retry_after):.0f} s)"


class LimitExceeded(Rejected):
    """The concurrency limit is reached and the admission queue takes no more."""


class QueueTimeout(Rejected):
    """The call waited in the admission queue for as long as it may."""


class DeadlineExceeded(PerfguardError, TimeoutError):
    """The call's deadline passed."""
