"""Latency distributions, by HdrHistogram."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

QUANTILES = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)

_MICROSECONDS = 1e6
_HOUR = 3_600_000_000
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Durations in seconds, to three significant digits from 1 microsecond to 1 hour.

    Args:
        count: How many there were; with none, every figure is 0.
        mean: Their mean.
        values: The values at `QUANTILES`.
    """

    count: int = 0
    mean: float = 0.0
    values: tuple[float, ...] = (0.0,) * len(QUANTILES)

    @classmethod
    def of(cls, durations: Iterable[float]) -> Distribution:
        """The distribution of some durations, in seconds."""
        histogram = HdrHistogram(1, _HOUR, _DIGITS)
        for duration in durations:
            histogram.record_value(min(max(int(duration * _MICROSECONDS), 1), _HOUR))
        if not histogram.total_count:
            return cls()
        values = [histogram.get_value_at_percentile(quantile) / _MICROSECONDS for quantile in QUANTILES]
        return cls(
            count=int(histogram.total_count),
            mean=float(histogram.get_mean_value()) / _MICROSECONDS,
            values=tuple(float(value) for value in values),
        )

    def at(self, quantile: float) -> float:
        """The value at one of `QUANTILES`, in seconds.

        Raises:
            ValueError: It is not one of them.
        """
        return self.values[QUANTILES.index(quantile)]

    @property
    def p50(self) -> float:
        """The median, in seconds."""
        return self.at(50.0)

    @property
    def p99(self) -> float:
        """The 99th percentile, in seconds."""
        return self.at(99.0)

    @property
    def p999(self) -> float:
        """The 99.9th percentile, in seconds."""
        return self.at(99.9)

    @property
    def max(self) -> float:
        """The longest, in seconds."""
        return self.at(100.0)

    def as_dict(self) -> dict[str, float]:
        """For JSON; seconds."""
        figures = {f"p{quantile:g}": value for quantile, value in zip(QUANTILES, self.values, strict=True)}
        return {"count": self.count, "mean": self.mean, **figures}
