"""The default limit: concurrency from measured throughput and service time, L = X W."""

from __future__ import annotations

from enum import Enum
from math import exp

from perfguard.limits._checks import check_positive, check_range
from perfguard.limits._reading import NOTHING, Reading, elasticity, headroom, noise, queued, read
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


_PATIENCE = 5.0
"""Seconds until a raise that bought nothing is tried again; each failure doubles them."""

_BETWEEN_TESTS = 30.0
"""Seconds between two raises that are made although a queue is suspected."""


class LittlesLawLimit:
    """Admits as many calls as the work needs, by Little's law, and few more.

    In a window with throughput X and mean service time W, `X W` calls are in flight
    (Little, "A Proof for the Queuing Formula: L = lambda W", 1961). Of W, a part may be
    waiting: that which is measured inside the process, and that by which the low quantile
    q of the service times lies above the baseline q0, their value without a queue. With
    the sum of both, s, a queue of `Q = X s` calls stands behind the limit, and
    `X (W - s) + h` calls in flight are enough, with a headroom h that keeps the server
    fed between two admissions. A low quantile tells a wait whatever the mix of the work,
    since a wait adds the same to short calls as to long ones.

    The baseline is learnt from calls that had too few beside them to queue: those that
    started at a small part of the limit, or in windows that did not reach it. It rises
    only by calls within `X q0`, which the server is known to serve at a time, so that a
    slow overload is not averaged in.

    Whether a longer q is a queue or slower work is told in this order. More throughput
    than usual means that more is offered: a queue. Times that drew together mean a queue,
    since slower work stretches them. Where a queue stood already while throughput was as
    usual, the permits were more than the servers, and slower work would need no more of
    them either. Otherwise the limit is raised, by a step that costs little if it proves
    wrong, and throughput decides. With N calls in flight by Little's
    law, the elasticity is `e = ln(X'/X) / ln(N'/N)`: a raise that throughput follows (e
    near 1) met no queue, so the baseline is q, once N'/N is more than chance could feign;
    one that it does not follow is taken back, and not tried again for a time that doubles.
    A cut that throughput follows took permits that were needed: it is taken back as well,
    and the baseline is q. Where no baseline was ever proven (a start under overload), the
    limit falls step by step while throughput stays.

    It rises only while calls reach the limit, so that a service within its capacity is
    left alone, and falls idle to five times the calls in flight of the last minute. A cut
    always has a queue as its evidence: nothing is refused in order to measure. Drops cut
    it once they are more than a tenth of the calls; their times are censored.

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
        "_initial",
        "_last",
        "_length",
        "_lowest",
        "_most",
        "_origin",
        "_patience",
        "_phase",
        "_proven",
        "_retry_at",
        "_spread",
        "_stood",
        "_test_at",
        "_usual",
        "_window",
        "value",
    )

    value: int
    _initial: int
    _lowest: int
    _highest: int
    _length: float
    _phase: Phase
    _window: Window | None
    _counts_from: float
    _baseline: float
    _proven: bool
    _before: int
    _origin: Reading
    _last: Reading
    _spread: float
    _stood: bool
    _usual: float
    _most: float
    _patience: float
    _retry_at: float
    _test_at: float

    def __init__(self, *, initial: int = 20, lowest: int = 2, highest: int = 10_000, window: float = 0.25) -> None:
        check_range(initial, lowest, highest)
        check_positive("window", window)
        self.value = initial
        self._initial = initial
        self._lowest = lowest
        self._highest = highest
        self._length = window
        self._phase = Phase.HOLD
        self._window = None
        self._counts_from = float("-inf")
        self._baseline = 0.0
        self._proven = False
        self._before = initial
        self._origin = self._last = NOTHING
        self._spread = 0.0
        self._stood = False
        self._usual = 0.0
        self._most = 0.0
        self._patience = _PATIENCE
        self._retry_at = float("-inf")
        self._test_at = float("-inf")

    def __repr__(self) -> str:
        return f"<LittlesLawLimit {self.value}, baseline {self._baseline * 1e3:.1f} ms, {self._phase.value}>"

    def observe(self, sample: Sample) -> LimitChange | None:
        """Learn from a call that ended; move at most once per window."""
        if sample.now < self._counts_from:
            return None
        window = self._window
        if window is None:
            # The call that opens a window ended before it: its rate is of those that follow.
            window = self._window = Window(sample.now)
            if not sample.dropped:
                window.note(sample.service_time, sample.in_flight, sample.wait)
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
        elapsed = now - window.start
        reading = read(window, now, self.value)
        last, self._last = self._last, reading
        if window.dropped > 0.1 * window.count:
            self._phase = Phase.HOLD
            return self._moved(int(0.8 * self.value), LimitReason.DROPPED, reading)
        usual, self._usual = self._usual, max(reading.throughput, self._usual * exp(-elapsed / 30.0))
        self._most = max(float(window.peak), self._most * exp(-elapsed / 60.0))
        self._learn_at_ease(window, reading)
        if not reading.saturated:
            return self._unlimited(window, reading)
        return self._limited(reading, last, usual)

    def _limited(self, reading: Reading, last: Reading, usual: float) -> LimitChange | None:
        if self._phase is Phase.RAISED:
            return self._after_raise(reading)
        if self._phase is Phase.CUT:
            return self._after_cut(reading)
        if reading.throughput > 1.2 * usual:
            # More is served than before, so something has changed: what failed may not fail again.
            self._patience = _PATIENCE
            self._retry_at = min(self._retry_at, reading.now)
        if not last.saturated and reading.present < 0.6 * self.value:
            # Touched once, in passing.
            return None
        return self._held(reading, slower=self._slower(reading, last, usual))

    def _learn_at_ease(self, window: Window, reading: Reading) -> None:
        """Learn the baseline from calls that had too few beside them to queue.

        A baseline that rises needs calls within `X q0`, which the server has served at a time.
        """
        few = max(1, self.value // 4)
        low = window.quantile(0.2, in_flight=few, least=20 if self._baseline else 4)
        if low is not None and (not self._baseline or low < self._baseline):
            self._lower(low)
            self._proven = self._proven or window.quantile(0.2, in_flight=few, least=20) is not None
        within = int(reading.throughput * self._baseline)
        low = window.quantile(0.2, in_flight=max(1, within), least=10)
        if low is not None and low > self._baseline:
            self._baseline += 0.2 * (low - self._baseline)

    def _lower(self, low: float) -> None:
        """Let the baseline fall: at once where it was far off, else slowly, for a window may be lucky."""
        if not self._baseline or low < 0.7 * self._baseline:
            self._baseline = low
        else:
            self._baseline += 0.3 * min(0.0, low - self._baseline)

    def _unlimited(self, window: Window, reading: Reading) -> LimitChange | None:
        """Learn from calls that no limit held together; lower a limit that is far from use."""
        self._phase = Phase.HOLD
        self._stood = False
        if window.peak * 5 < self.value * 4:
            if not self._proven:
                self._baseline = reading.low
                self._proven = True
            self._lower(reading.low)
        if reading.low <= 1.2 * self._baseline:
            self._spread += (reading.spread - self._spread) * (0.2 if self._spread else 1.0)
        most = max(self._initial, round(5.0 * self._most))
        return self._moved(most, LimitReason.IDLE, reading) if self.value > most else None

    def _slower(self, reading: Reading, last: Reading, usual: float) -> bool:
        """Say whether a longer service time may be slower work, and not a queue.

        A queue adds the same to every call, so that their times draw together; slower work
        stretches them. More throughput than usual says that more is offered, hence a queue.
        """
        if self._spread and reading.spread < 1.0 + 0.5 * (self._spread - 1.0):
            return False
        return reading.throughput < 0.8 * usual if last.saturated else reading.throughput <= 1.1 * usual

    def _held(self, reading: Reading, *, slower: bool) -> LimitChange | None:
        self._proven = self._proven and reading.low > 0.7 * self._baseline
        self._lower(reading.low)
        self._origin = reading
        shift = reading.low - self._baseline
        needed = self._needed(reading)
        room = headroom(needed)
        waiting = reading.rate * (shift + reading.wait)
        if not slower:
            self._stood = waiting > 0.5 * room
        in_use = reading.present > 0.75 * self.value
        if self.value - needed > 2.0 * room + 1.0 and waiting > room and in_use:
            unsure = (slower and not self._stood) or reading.calls < 15
            if unsure and reading.rate * reading.wait < room and reading.now >= self._test_at:
                self._test_at = reading.now + _BETWEEN_TESTS
                return self._raise(2.0, reading)
            return self._cut(round(needed + room), LimitReason.QUEUE_GROWTH, reading)
        if waiting < 0.25 * room:
            return self._raise(1.25 if self._patience > _PATIENCE else 2.0, reading)
        # Where a queue shows that the limit does not cause, more permits would lengthen it.
        worth = waiting <= room or in_use or reading.calls < 15
        return self._raise(1.25, reading) if worth and reading.now >= self._retry_at else None

    def _after_raise(self, reading: Reading) -> LimitChange | None:
        suspected = self._origin.low > 1.5 * self._baseline
        more = reading.present / max(1e-9, self._origin.present)
        if more <= 1.1 and not suspected:
            # No more are in flight than before, which tells nothing.
            self._phase = Phase.HOLD
            return None
        follows = elasticity(reading, self._origin)
        if follows >= 0.5 and queued(reading, self._origin) < 0.5 and (more > 1.2 or not suspected):
            return self._followed(reading, 2.0 if follows > 0.75 else 1.25, more)
        return self._at_knee(reading)

    def _followed(self, reading: Reading, factor: float, more: float) -> LimitChange | None:
        """Raise on after throughput followed; learn from it once the growth is more than chance."""
        before = self._before
        if more >= 1.5:
            before = self.value
            self._baseline = reading.low
            self._proven = self._proven or factor == 2.0
            self._origin = reading
            self._patience = _PATIENCE
        change = self._raise(factor, reading)
        self._before = before
        return change

    def _at_knee(self, reading: Reading) -> LimitChange | None:
        """Take back a raise that bought nothing, as far as the work does not need it."""
        self._wait_longer(reading.now)
        before, self._origin = self._origin, reading
        if not self._proven:
            return self._cut(int(0.75 * self._before), LimitReason.KNEE, reading)
        # The raise has shown that the longer time before it was a queue, which was the shorter one.
        needed = self._needed(before if before.low > 1.5 * self._baseline else reading)
        room = headroom(needed)
        wanted = round(needed + room)
        if wanted < self._before - room - 1.0:
            return self._cut(wanted, LimitReason.KNEE, reading)
        self._phase = Phase.HOLD
        return self._moved(max(self._before, min(self.value, wanted)), LimitReason.KNEE, reading)

    def _needed(self, reading: Reading) -> float:
        """Return the calls in flight that work, and do not wait."""
        return reading.rate * (reading.mean - max(0.0, reading.low - self._baseline))

    def _after_cut(self, reading: Reading) -> LimitChange | None:
        kept = reading.throughput / max(1e-9, self._origin.throughput)
        chance = noise(reading.calls)
        if kept >= 1.0 - chance or (kept >= 1.0 - 2.0 * chance and queued(self._origin, reading) > 0.5):
            self._lower(reading.low)
            if self._proven or self.value <= self._lowest:
                self._phase = Phase.HOLD
                self._retry_at = max(self._retry_at, reading.now + self._patience)
                return None
            self._origin = reading._replace(throughput=max(reading.throughput, self._origin.throughput))
            return self._cut(int(0.75 * self.value), LimitReason.KNEE, reading)
        self._phase = Phase.HOLD
        self._proven = True
        # Every permit was in use without a queue, for throughput fell with the permits.
        self._baseline = reading.low
        self._wait_longer(reading.now)
        needed = self._origin.rate * reading.mean
        wanted = min(self._before, max(self.value + 1, round(needed + headroom(needed))))
        return self._moved(wanted, LimitReason.CUT_TAKEN_BACK, reading)

    def _wait_longer(self, now: float) -> None:
        self._retry_at = now + self._patience
        self._patience = min(30.0, 2.0 * self._patience)

    def _raise(self, factor: float, reading: Reading) -> LimitChange | None:
        self._phase = Phase.RAISED
        self._before = self.value
        if self._retry_at < reading.now:
            self._retry_at = reading.now + self._patience
        # Should it prove to be a queue, the step adds so much to the wait.
        step = reading.throughput * max(0.25, self._baseline)
        wanted = max(self.value + 1, int(min(self.value * factor, self.value + step)))
        return self._moved(wanted, LimitReason.GROWTH, reading)

    def _cut(self, wanted: int, reason: LimitReason, reading: Reading) -> LimitChange | None:
        self._phase = Phase.CUT
        self._before = self.value
        return self._moved(min(wanted, self.value - 1), reason, reading)

    def _moved(self, wanted: int, reason: LimitReason, reading: Reading) -> LimitChange | None:
        old, self.value = self.value, max(self._lowest, min(self._highest, wanted))
        if self.value == old:
            self._phase = Phase.HOLD
            return None
        # Calls that started under the old limit say nothing about the new one.
        self._counts_from = reading.now + min(reading.mean, 3.0)
        return LimitChange(old=old, new=self.value, reason=reason)


def _tells(window: Window, elapsed: float) -> bool:
    """Say whether a window holds enough calls, or has waited for them long enough."""
    if window.count >= 50 or elapsed >= 30.0:
        return True
    return window.count >= (20 if elapsed < 4.0 else 10) and elapsed >= 1.0
