"""The default limit: concurrency from measured throughput and service time."""

from __future__ import annotations

from perfguard.limits.limit import LimitChange, Sample


class LittlesLawLimit:
    """Holds its initial value; the adaptation is under construction."""

    value: int

    def __init__(self) -> None:
        self.value = 20

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn nothing yet."""
        return None
