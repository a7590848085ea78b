"""TCP Vegas for requests: the queue behind the limit, from the least service time seen."""

from __future__ import annotations

from math import ceil, log10

from perfguard.limits._checks import check_at_least, check_range, check_share
from perfguard.limits.limit import LimitChange, LimitReason, Sample
from perfguard.stats.window import Window


class VegasLimit:
    """Keeps between `3 log10 L` and `6 log10 L` calls in the queue that it estimates.

    Source: Brakmo and Peterson, "TCP Vegas", 1995, in the form of Netflix's
    concurrency-limits. With the limit L, the window's mean service time R and the least
    such mean R0, the queue is `L (1 - R0 / R)`. At or below `log10 L` the limit grows by
    `6 log10 L`, below `3 log10 L` by `log10 L`; above `6 log10 L`, or after a drop, it
    shrinks by `log10 L`. R0 is taken anew after every `30 L` windows.

    Args:
        initial: The limit at the start, in calls in flight.
        highest: The limit never rises above.
        smoothing: The weight of a new value against the old one, above 0 and at most 1.
        window: Seconds over which samples are averaged; 0 moves at every sample.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    __slots__ = ("_estimate", "_highest", "_least", "_length", "_smoothing", "_until_probe", "_window")

    _estimate: float
    _highest: int
    _smoothing: float
    _length: float
    _least: float
    _until_probe: float
    _window: Window | None

    def __init__(self, *, initial: int = 20, highest: int = 1000, smoothing: float = 1.0, window: float = 1.0) -> None:
        check_range(initial, 1, highest)
        check_share("smoothing", smoothing)
        check_at_least("window", window, 0.0)
        self._estimate = float(initial)
        self._highest = highest
        self._smoothing = smoothing
        self._length = window
        self._least = 0.0
        self._until_probe = 30.0 * initial
        self._window = None

    def __repr__(self) -> str:
        return f"<VegasLimit {self.value}, least {self._least * 1e3:.1f} ms>"

    @property
    def value(self) -> int:
        """The concurrency limit."""
        return int(self._estimate)

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn from a call; move once per window."""
        full = collected(self._window, sample, self._length)
        self._window = None if full[1] else full[0]
        return self._decided(full[0]) if full[1] else None

    def _decided(self, window: Window) -> LimitChange | None:
        old = self.value
        self._until_probe -= 1.0
        time = window.mean
        if window.dropped:
            return self._moved(old, -log10(max(old, 10)), LimitReason.DROPPED)
        if not self._least or time < self._least or self._until_probe <= 0.0:
            self._least = time
            self._until_probe = 30.0 * self._estimate
            return None
        if window.peak * 2 < self._estimate:
            return None
        return self._by_queue(old, ceil(self._estimate * (1.0 - self._least / time)))

    def _by_queue(self, old: int, queue: int) -> LimitChange | None:
        unit = max(1.0, log10(self._estimate))
        if queue <= unit:
            return self._moved(old, 6.0 * unit, LimitReason.GROWTH)
        if queue < 3.0 * unit:
            return self._moved(old, unit, LimitReason.GROWTH)
        if queue > 6.0 * unit:
            return self._moved(old, -unit, LimitReason.QUEUE_GROWTH)
        return None

    def _moved(self, old: int, step: float, reason: LimitReason) -> LimitChange | None:
        wanted = max(1.0, min(float(self._highest), self._estimate + step))
        self._estimate += self._smoothing * (wanted - self._estimate)
        return None if self.value == old else LimitChange(old=old, new=self.value, reason=reason)


def collected(window: Window | None, sample: Sample, length: float) -> tuple[Window, bool]:
    """Add a sample to a window, opened if there is none; say whether it is complete.

    A window is complete after `length` seconds and at least ten calls, as in Netflix's
    `WindowedLimit`; one of no length after each call.
    """
    if window is None:
        window = Window(sample.now)
    if sample.dropped:
        window.drop(sample.in_flight)
    else:
        window.add(sample.service_time, sample.in_flight, 0.0)
    return window, not length or (sample.now - window.start >= length and window.count >= 10)
