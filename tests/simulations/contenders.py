"""What others do, from their published formulae: none of it is anybody's code.

Each follows the update law that its project documents, with that project's defaults; where it needs
what a limit does not see (the share of a CPU), the engine tells it through `utilised`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import ceil, log10, sqrt
from random import Random
from statistics import StatisticsError, correlation, fmean, pstdev
from typing import Any

from perfguard.errors import LimitExceeded
from perfguard.limits import AIMDLimit, FixedLimit, Gradient2Limit, Limit, Limiter, LittlesLawLimit, Sample, VegasLimit
from perfguard.limits.limit import LimitChange
from perfguard.outcome import Call, Reason
from perfguard.queueing import AdmissionQueue, Place

NO_LIMIT = 1_000_000


class Timed:
    """Collects the service times of a window, and moves when it is over.

    Args:
        initial: The limit at the start.
        lowest: The limit never falls below.
        highest: The limit never rises above.
        least: Calls that a window needs.
        length: Seconds that a window lasts at least.
    """

    def __init__(self, *, initial: float, lowest: int, highest: int, least: int, length: float) -> None:
        self.limit = initial
        self.lowest, self.highest = lowest, highest
        self.least, self.length = least, length
        self.times: list[float] = []
        self.peak = self.dropped = 0
        self.start: float | None = None

    @property
    def value(self) -> int:
        """The concurrency limit."""
        return int(self.limit)

    def observe(self, sample: Sample) -> LimitChange | None:
        """Add a call; move if the window is over."""
        if self.start is None:
            self.start = sample.now - sample.service_time
        self.peak = max(self.peak, sample.in_flight)
        self.dropped += sample.dropped
        self.times.append(sample.service_time)
        if sample.now - self.start >= self.length and len(self.times) >= self.least:
            self.move(sample.now, sample.now - self.start)
            self.limit = max(self.lowest, min(self.highest, self.limit))
            self.times, self.peak, self.dropped, self.start = [], 0, 0, sample.now
        return None

    def move(self, now: float, elapsed: float) -> None:
        """Set the limit from the window."""
        raise NotImplementedError

    def quantile(self, share: float) -> float:
        """Return a quantile of the window's times."""
        return sorted(self.times)[int(share * (len(self.times) - 1))]


class EnvoyGradient(Timed):
    """`g = clamp(1.25 min / p50, 0.5, 2)`, `L = g L + sqrt(g L)`; the minimum with 3 in flight every 60 s."""

    def __init__(self) -> None:
        super().__init__(initial=3, lowest=3, highest=1000, least=50, length=0.0)
        self.least_time = 0.0
        self.before = 20.0
        self.probe_at = 0.0

    def move(self, now: float, elapsed: float) -> None:
        """Take the minimum while probing, else follow the gradient."""
        median = self.quantile(0.5)
        if now >= self.probe_at and self.least == 50:
            self.least_time, self.probe_at = median, now + 60.0
            self.limit, self.least, self.length = self.before, 1, 0.1
            return
        gradient = max(0.5, min(2.0, 1.25 * self.least_time / median))
        self.limit = gradient * self.limit + sqrt(gradient * self.limit)
        if now >= self.probe_at:
            self.before, self.limit, self.least, self.length = min(1000.0, self.limit), 3, 50, 0.0


class FailsafeGo(Timed):
    """Vegas on p90 against a slow average, with correlations of concurrency, throughput and time."""

    def __init__(self) -> None:
        super().__init__(initial=20, lowest=1, highest=200, least=50, length=1.0)
        self.recent: deque[float] = deque(maxlen=5)
        self.smooth = self.base = 0.0
        self.history: deque[tuple[float, float, float]] = deque(maxlen=50)

    def move(self, now: float, elapsed: float) -> None:
        """Step by log10 of the limit."""
        self.recent.append(self.quantile(0.9))
        median = sorted(self.recent)[len(self.recent) // 2]
        self.smooth += (median - self.smooth) * (2 / 6 if self.smooth else 1.0)
        self.base += (self.smooth - self.base) * (2 / 11 if self.base else 1.0)
        self.history.append((self.peak, len(self.times) / elapsed, self.smooth))
        queue = ceil(self.limit * (1.0 - self.base / self.smooth))
        unit = max(1, int(log10(max(1.0, self.limit))))
        if queue > 6 * unit or (self.peak >= self.limit and self._correlated()):
            self.limit -= unit
        elif queue < 3 * unit and self.limit + unit <= 5 * self.peak:
            self.limit += unit

    def _correlated(self) -> bool:
        if len(self.history) < 10:
            return False
        peaks, rates, times = (list(column) for column in zip(*self.history, strict=True))
        with_rate, with_time = _correlation(peaks, rates), _correlation(peaks, times)
        flat = pstdev(rates) < 0.2 * fmean(rates)
        return with_rate < 0 or (with_time > 0.5 and (with_rate < 0.3 or flat))


class BrpcAuto(Timed):
    """`L = max X ((2 + 0.3) min W - W)`; the minimum anew every 50 s under a reduced limit."""

    def __init__(self) -> None:
        super().__init__(initial=40, lowest=4, highest=10_000, least=100, length=1.0)
        self.fastest = self.least_time = 0.0
        self.probe_at: float | None = None
        self.probing = False

    def move(self, now: float, elapsed: float) -> None:
        """Follow the formula, or measure the minimum."""
        mean, rate = fmean(self.times), len(self.times) / elapsed
        self.probe_at = now + 50.0 if self.probe_at is None else self.probe_at
        if self.probing or not self.least_time or mean < self.least_time:
            weight = 1.0 if self.probing or not self.least_time else 0.1
            self.least_time += weight * (mean - self.least_time)
        self.fastest = rate if rate > self.fastest else self.fastest + 0.1 * (rate - self.fastest)
        self.probing = now >= self.probe_at
        self.limit = self.fastest * (2.3 * self.least_time - mean)
        if self.probing:
            self.limit = 0.9 * self.fastest * self.least_time
            self.probe_at = now + 50.0


class VectorARC(Timed):
    """+1 while full and no slower than the mean; x 0.9 from 2.5 deviations on; once per mean time."""

    def __init__(self) -> None:
        super().__init__(initial=1, lowest=1, highest=200, least=1, length=0.0)
        self.mean = self.variance = 0.0

    def move(self, now: float, elapsed: float) -> None:
        """Compare the window's mean with the past."""
        time = fmean(self.times)
        if self.mean:
            if self.dropped or time >= self.mean + 2.5 * sqrt(self.variance):
                self.limit *= 0.9
            elif self.peak >= int(self.limit) and time <= self.mean:
                self.limit += 1.0
            self.variance = 0.6 * (self.variance + 0.4 * (time - self.mean) ** 2)
            self.mean += 0.4 * (time - self.mean)
        else:
            self.mean = time
        self.length = self.mean


class GroupAware(Timed):
    """The mean of 100 calls against the p10 of many: above 1.5 down by log10 L, below 1.1 up by 1."""

    def __init__(self) -> None:
        super().__init__(initial=20, lowest=10, highest=200, least=1, length=0.0)
        self.mean = self.low = 0.0
        self.past: deque[float] = deque(maxlen=2000)
        self.seen = 0

    def move(self, now: float, elapsed: float) -> None:
        """Move with every call, after 20 of them."""
        time = self.times[0]
        self.mean += (time - self.mean) * (2 / 101 if self.mean else 1.0)
        self.past.append(time)
        self.seen += 1
        if self.seen % 100 == 20:
            self.low = sorted(self.past)[len(self.past) // 10]
        if self.dropped:
            self.limit *= 0.9
        elif self.low and self.mean > 1.5 * self.low:
            self.limit -= log10(self.limit)
        elif self.low and self.mean < 1.1 * self.low and self.peak >= self.limit / 2:
            self.limit += 1.0


class LittleLoadshedder(Timed):
    """Climbs by one towards more throughput, while calls reach the limit."""

    def __init__(self) -> None:
        super().__init__(initial=20, lowest=1, highest=10_000, least=10, length=0.1)
        self.rate = 0.0
        self.step = 1.0

    def move(self, now: float, elapsed: float) -> None:
        """Go on while throughput rises, else turn round."""
        rate = len(self.times) / elapsed
        self.length = max(0.1, fmean(self.times))
        if self.peak < self.value:
            return
        if rate < self.rate:
            self.step = -self.step
        self.rate = rate
        self.limit += self.step


class GoZeroBBR(Timed):
    """While the CPU is hot, the highest throughput times the least time; else no limit."""

    def __init__(self) -> None:
        super().__init__(initial=NO_LIMIT, lowest=1, highest=NO_LIMIT, least=1, length=0.1)
        self.passed: deque[float] = deque(maxlen=50)
        self.means: deque[float] = deque(maxlen=50)
        self.load = 0.0
        self.hot_until = -1.0

    def utilised(self, now: float, share: float) -> None:
        """Hear, every 100 ms, how busy the slots are: the stand-in for the CPU."""
        self.load = 0.95 * self.load + 0.05 * share
        if self.load >= 0.9:
            self.hot_until = now + 1.0
        self._set(now)

    def move(self, now: float, elapsed: float) -> None:
        """Note the bucket."""
        self.passed.append(len(self.times) / elapsed)
        self.means.append(fmean(self.times))
        self._set(now)

    def _set(self, now: float) -> None:
        if now > self.hot_until or not self.passed:
            self.limit = NO_LIMIT
            return
        spare = max(0.1, min(1.0, (1.0 - self.load) / 0.1))
        self.limit = max(1.0, max(self.passed) * min(self.means) * spare)


class CoDelQueue(AdmissionQueue):
    """First come first served; drops what waited over 10 ms once the least wait of 100 ms was over 5 ms."""

    __slots__ = ("_least", "_overloaded", "_since")

    def __init__(self) -> None:
        super().__init__(max_length=10_000, max_wait=10.0)
        self._least = float("inf")
        self._overloaded = False
        self._since = 0.0

    def watch(self, arrival: float, now: float, length: int) -> None:
        """Know no state."""

    def verdict(self, call: Call, now: float, length: int) -> Reason | None:
        """Refuse for want of memory alone."""
        return Reason.QUEUE_FULL if length >= self.max_length else None

    def head(self, now: float) -> Place | None:
        """Return the oldest that did not wait too long."""
        while (place := self.line.head(lifo=False)) is not None:
            delay = now - place.queued_at
            self._least = min(self._least, delay)
            if now - self._since >= 0.1:
                self._overloaded = self._least > 0.005
                self._since, self._least = now, delay
            if not (self._overloaded and delay > 0.01):
                return place
            self.line.withdraw(place)
            place.error = LimitExceeded(Reason.QUEUE_TIME, 0.0)
            self.released.append(place)
        return None


class Dagor(Limiter):
    """Admits a share of the calls that falls by 5 % while the mean queue time is over 20 ms, else rises by 1 %."""

    __slots__ = ("_chance", "_offered", "_share", "_since", "_waited")

    def __init__(self) -> None:
        queue = AdmissionQueue(target=5.0, max_wait=10.0, interval=10.0, max_length=10_000)
        super().__init__(FixedLimit(20), queue)
        self._chance = Random(7)
        self._share = 1.0
        self._waited: list[float] = []
        self._offered = 0
        self._since = 0.0

    def admit(self, call: Call, now: float) -> Any:
        """Refuse by lot."""
        self._offered += 1
        if now - self._since >= 1.0 or self._offered >= 2000:
            over = bool(self._waited) and fmean(self._waited) > 0.02
            self._share = min(1.0, self._share * (0.95 if over else 1.01))
            self._waited, self._offered, self._since = [], 0, now
        if self._chance.random() >= self._share:
            raise LimitExceeded(Reason.PREDICTED_WAIT, 0.0)
        return super().admit(call, now)

    def grant(self, place: Place, now: float) -> None:
        """Start the call of that place, and note its wait."""
        self._waited.append(now - place.queued_at)
        super().grant(place, now)


def _correlation(left: list[float], right: list[float]) -> float:
    try:
        return correlation(left, right)
    except StatisticsError:
        return 0.0


def _limited(make: Callable[[], Limit]) -> Callable[[], Limiter]:
    return lambda: Limiter(make())


CONTENDERS: dict[str, Callable[[], Limiter]] = {
    "littles-law": _limited(LittlesLawLimit),
    "gradient2": _limited(Gradient2Limit),
    "vegas": _limited(VegasLimit),
    "vegas/call": _limited(lambda: VegasLimit(window=0)),
    "aimd": _limited(AIMDLimit),
    "envoy": _limited(EnvoyGradient),
    "failsafe": _limited(FailsafeGo),
    "brpc": _limited(BrpcAuto),
    "go-zero": _limited(GoZeroBBR),
    "vector": _limited(VectorARC),
    "group": _limited(GroupAware),
    "little-ls": _limited(LittleLoadshedder),
    "codel-10": lambda: Limiter(FixedLimit(10), CoDelQueue()),
    "dagor": Dagor,
    "fixed-20": _limited(lambda: FixedLimit(20)),
    "none": _limited(lambda: FixedLimit(NO_LIMIT)),
}
