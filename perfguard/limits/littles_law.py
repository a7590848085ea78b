"""The default limit: concurrency from measured throughput and service time, L = X W."""

from __future__ import annotations

from enum import Enum
from math import log, sqrt

from perfguard.limits._checks import check_positive, check_range
from perfguard.limits.limit import LimitChange, LimitReason, Sample
from perfguard.stats.window import Window


class Phase(Enum):
    """What the next window is to tell."""

    HOLD = "hold"
    """Nothing was changed: is there a queue behind the limit?"""
    RAISED = "raised"
    """The limit was raised: did throughput follow?"""
    CUT = "cut"
    """The limit was cut: did throughput stay?"""


class LittlesLawLimit:
    """Admits as many calls as the work needs, by Little's law, and few more.

    In a window with throughput X and mean service time W, `X W` calls are in flight
    (Little, "A Proof for the Queuing Formula: L = lambda W", 1961). Of W, a part may be
    waiting: that which is measured inside the process, and that by which the low quantile
    q of the service times lies above the baseline q0, their value without a queue. With
    the sum of both, s, a queue of `Q = X s` calls stands behind the limit, and
    `X (W - s) + h` calls in flight are enough, with a headroom h that keeps the server
    fed between two admissions.

    Whether a longer q is a queue or slower work is told by what throughput does when
    the limit moves. With the elasticity `e = ln(X'/X) / ln(L'/L)`: a raise that throughput
    follows (e near 1) met no queue, so the baseline is q; one that it does not follow is
    taken back. A cut that throughput follows took permits that were needed: it is taken
    back as well, and the baseline is q. Where no baseline was ever seen without a queue
    (a start under overload), the limit falls step by step while throughput stays.

    It only moves while calls reach the limit, so that a service within its capacity is
    left alone, and a cut always has a queue as its evidence: nothing is refused in order
    to measure. Drops cut it once they are more than a tenth of the calls.

    Pure and unsynchronised: the guard's lock owns it.

    Args:
        initial: The limit at the start, in calls in flight.
        lowest: The limit never falls below.
        highest: The limit never rises above.
        window: The least length of a window, in seconds.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    __slots__ = (
        "_baseline",
        "_before",
        "_counts_from",
        "_highest",
        "_length",
        "_lowest",
        "_phase",
        "_proven",
        "_retry_at",
        "_throughput",
        "_window",
        "value",
    )

    value: int
    _lowest: int
    _highest: int
    _length: float
    _phase: Phase
    _window: Window | None
    _counts_from: float
    _baseline: float
    _proven: bool
    _before: int
    _throughput: float
    _retry_at: float

    def __init__(self, *, initial: int = 20, lowest: int = 2, highest: int = 10_000, window: float = 0.25) -> None:
        check_range(initial, lowest, highest)
        check_positive("window", window)
        self.value = initial
        self._lowest = lowest
        self._highest = highest
        self._length = window
        self._phase = Phase.HOLD
        self._window = None
        self._counts_from = float("-inf")
        self._baseline = 0.0
        self._proven = False
        self._before = initial
        self._throughput = 0.0
        self._retry_at = float("-inf")

    def __repr__(self) -> str:
        return f"<LittlesLawLimit {self.value}, baseline {self._baseline * 1e3:.1f} ms, {self._phase.value}>"

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn from a call that ended; move at most once per window."""
        if sample.now < self._counts_from:
            return None
        window = self._window
        if window is None:
            # The call that opens a window ended before it: its rate is of those that follow.
            self._window = Window(sample.now)
            return None
        if sample.dropped:
            window.drop(sample.in_flight)
        else:
            window.add(sample.service_time, sample.in_flight, sample.wait)
        elapsed = sample.now - window.start
        if elapsed < self._length or not _tells(window, elapsed):
            return None
        self._window = None
        return self._closed(window, sample.now)

    def _closed(self, window: Window, now: float) -> LimitChange | None:
        if window.dropped > 0.1 * window.count:
            self._phase = Phase.HOLD
            return self._moved(int(0.8 * self.value), LimitReason.DROPPED, now, window)
        if window.peak < self.value:
            self._learn_unlimited(window)
            return None
        throughput = window.served / (now - window.start)
        low = window.quantile(0.2)
        if self._phase is Phase.RAISED:
            return self._after_raise(window, throughput, low, now)
        if self._phase is Phase.CUT:
            return self._after_cut(window, throughput, low, now)
        return self._held(window, throughput, low, now)

    def _learn_unlimited(self, window: Window) -> None:
        """Take the baseline from calls that no limit held together: they need no proof."""
        self._phase = Phase.HOLD
        if window.peak * 5 < self.value * 4:
            low = window.quantile(0.2)
            rising = self._proven and low > self._baseline
            self._baseline += (low - self._baseline) * (0.1 if rising else 1.0)
            self._proven = True

    def _held(self, window: Window, throughput: float, low: float, now: float) -> LimitChange | None:
        if not self._baseline or low < self._baseline:
            self._baseline = low
        shift = low - self._baseline
        needed = throughput * (window.mean - shift)
        room = _headroom(needed)
        queue = self.value - needed
        self._throughput = throughput
        if queue > 2.0 * room + 1.0 and throughput * (shift + window.wait) > room:
            return self._cut(round(needed + room), LimitReason.QUEUE_GROWTH, now, window)
        if now >= self._retry_at or throughput * shift < 0.25 * room:
            # The first raise is a long one: a small step is lost in the noise of a short window.
            return self._raise(1.25 if self._retry_at > 0.0 else 2.0, now, window)
        return None

    def _after_raise(self, window: Window, throughput: float, low: float, now: float) -> LimitChange | None:
        elasticity = _elasticity(throughput, self._throughput, self.value, self._before)
        if elasticity >= 0.5:
            self._baseline = low
            self._throughput = throughput
            return self._raise(2.0 if elasticity > 0.75 else 1.25, now, window)
        self._retry_at = now + 5.0
        self._throughput = max(throughput, self._throughput)
        if self._proven:
            self._phase = Phase.HOLD
            return self._moved(self._before, LimitReason.KNEE, now, window)
        return self._cut(int(0.75 * self._before), LimitReason.KNEE, now, window)

    def _after_cut(self, window: Window, throughput: float, low: float, now: float) -> LimitChange | None:
        if throughput >= self._throughput * (1.0 - _noise(window)):
            self._baseline = min(self._baseline, low)
            if self._proven or self.value <= self._lowest:
                self._phase = Phase.HOLD
                return None
            self._throughput = max(throughput, self._throughput)
            return self._cut(int(0.75 * self.value), LimitReason.KNEE, now, window)
        self._phase = Phase.HOLD
        self._proven = True
        # Every permit was in use without a queue, for throughput fell with the permits.
        self._baseline = low
        self._retry_at = now + 5.0
        needed = self._throughput * window.mean
        wanted = min(self._before, max(self.value + 1, round(needed + _headroom(needed))))
        return self._moved(wanted, LimitReason.CUT_TAKEN_BACK, now, window)

    def _raise(self, factor: float, now: float, window: Window) -> LimitChange | None:
        self._phase = Phase.RAISED
        self._before = self.value
        wanted = max(self.value + 1, int(self.value * factor))
        return self._moved(wanted, LimitReason.GROWTH, now, window)

    def _cut(self, wanted: int, reason: LimitReason, now: float, window: Window) -> LimitChange | None:
        self._phase = Phase.CUT
        self._before = self.value
        return self._moved(min(wanted, self.value - 1), reason, now, window)

    def _moved(self, wanted: int, reason: LimitReason, now: float, window: Window) -> LimitChange | None:
        old, self.value = self.value, max(self._lowest, min(self._highest, wanted))
        if self.value == old:
            self._phase = Phase.HOLD
            return None
        # Calls that started under the old limit say nothing about the new one.
        self._counts_from = now + min(window.mean, 1.0)
        return LimitChange(old=old, new=self.value, reason=reason)


def _tells(window: Window, elapsed: float) -> bool:
    """Say whether a window holds enough calls, or has waited for them long enough."""
    return window.count >= 50 or (elapsed >= 1.0 and window.count >= 10) or elapsed >= 4.0


def _headroom(needed: float) -> float:
    return max(2.0, 0.5 * sqrt(needed))


def _noise(window: Window) -> float:
    """Return the relative fall of throughput that a window cannot tell from none."""
    return min(0.2, max(0.03, 0.5 / sqrt(window.count)))


def _elasticity(throughput: float, before: float, limit: int, limit_before: int) -> float:
    if throughput <= 0.0 or before <= 0.0 or limit == limit_before:
        return 0.0
    return log(throughput / before) / log(limit / limit_before)
