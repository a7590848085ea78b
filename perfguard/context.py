"""What a request carries down to the code that serves it."""

from __future__ import annotations

from contextvars import ContextVar

from perfguard.clock import monotonic

current_deadline: ContextVar[float | None] = ContextVar("perfguard_deadline", default=None)
"""The instant, in `time.monotonic` seconds, after which nobody wants the answer; or `None`."""


def remaining() -> float | None:
    """Return the seconds left until the current deadline, `None` if there is none."""
    deadline = current_deadline.get()
    return None if deadline is None else deadline - monotonic()
