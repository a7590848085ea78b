"""The ratio of a long to a short average of the service time, as a factor on the limit."""

from __future__ import annotations

from perfguard.limits._checks import check_at_least, check_positive, check_range, check_share, check_whole
from perfguard.limits.limit import LimitChange, LimitReason, Sample
from perfguard.limits.vegas import collected
from perfguard.stats.window import Window

_WARM_UP = 10


class Gradient2Limit:
    """Follows the drift of the service time rather than an absolute least.

    Source: Netflix's concurrency-limits, `Gradient2Limit`. With the limit L, the window's
    mean service time S, its exponential average R over `long_window` windows and the
    tolerance T, the gradient is `g = max(0.5, min(1, T R / S))` and the limit becomes the
    average of L and `L g + queue_size` by `smoothing`. Where R is more than twice S it is
    cut by 5 %, so that it recovers after an incident. Less than L/2 calls in flight move
    nothing.

    Args:
        initial: The limit at the start, in calls in flight.
        lowest: The limit never falls below.
        highest: The limit never rises above.
        smoothing: The weight of a new value against the old one, above 0 and at most 1.
        tolerance: How many times the long average is still no sign of a queue; at least 1.
        queue_size: Calls added to the limit at every step: the queue that is allowed.
        long_window: The length of the long average, in windows.
        window: Seconds over which samples are averaged; 0 moves at every sample.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    __slots__ = (
        "_estimate",
        "_factor",
        "_highest",
        "_length",
        "_long",
        "_lowest",
        "_queue_size",
        "_seen",
        "_smoothing",
        "_tolerance",
        "_window",
    )

    _estimate: float
    _lowest: int
    _highest: int
    _smoothing: float
    _tolerance: float
    _queue_size: int
    _factor: float
    _length: float
    _long: float
    _seen: int
    _window: Window | None

    def __init__(
        self,
        *,
        initial: int = 20,
        lowest: int = 20,
        highest: int = 200,
        smoothing: float = 0.2,
        tolerance: float = 1.5,
        queue_size: int = 4,
        long_window: int = 600,
        window: float = 1.0,
    ) -> None:
        check_range(initial, lowest, highest)
        check_share("smoothing", smoothing)
        check_positive("long_window", long_window)
        check_at_least("tolerance", tolerance, 1.0)
        check_whole("queue_size", queue_size, least=0)
        check_at_least("window", window, 0.0)
        self._estimate = float(initial)
        self._lowest = lowest
        self._highest = highest
        self._smoothing = smoothing
        self._tolerance = tolerance
        self._queue_size = queue_size
        self._factor = 2.0 / (long_window + 1)
        self._length = window
        self._long = 0.0
        self._seen = 0
        self._window = None

    def __repr__(self) -> str:
        return f"<Gradient2Limit {self.value}, long average {self._long * 1e3:.1f} ms>"

    @property
    def value(self) -> int:
        """The concurrency limit."""
        return int(self._estimate)

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn from a call; move once per window."""
        window, complete = collected(self._window, sample, self._length)
        self._window = None if complete else window
        return self._decided(window) if complete and window.served else None

    def _decided(self, window: Window) -> LimitChange | None:
        short = max(window.mean, 1e-9)
        long = self._averaged(short)
        if window.peak < self._estimate / 2.0:
            return None
        gradient = max(0.5, min(1.0, self._tolerance * long / short))
        old = self.value
        wanted = self._estimate * gradient + self._queue_size
        smoothed = self._estimate + self._smoothing * (wanted - self._estimate)
        self._estimate = max(float(self._lowest), min(float(self._highest), smoothed))
        if self.value == old:
            return None
        reason = LimitReason.GROWTH if self.value > old else LimitReason.QUEUE_GROWTH
        return LimitChange(old=old, new=self.value, reason=reason)

    def _averaged(self, short: float) -> float:
        self._seen += 1
        if self._seen <= _WARM_UP:
            self._long += (short - self._long) / self._seen
        else:
            self._long += self._factor * (short - self._long)
        if self._long > 2.0 * short:
            self._long *= 0.95
        return self._long
