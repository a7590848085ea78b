"""When a queue is a burst that passes, and when it stands: the state of backpressure."""

from __future__ import annotations

from perfguard.outcome import Backpressure

# Seconds by which the wait falls each second, at least, where a queue drains: at 0.9 of the capacity.
_DRAINING = 0.1

# Intervals after the end of a shedding within which it begins again without patience for a burst (RFC 8289, 5.4).
_RESUMING = 16


class OverloadDetector:
    """Follows the wait of a queue, and tells a standing queue from a burst.

    A burst, or what a stall left behind, drains: its wait falls. Overload does not. From
    the instant at which the wait reaches the target its excess over it is summed. At the
    end of each interval a wait that fell forgives the excess; otherwise the queue stands
    once the excess is that of a full queue for an interval, in wait times time. So a
    burst may be long if it is small, as where few of the calls are long ones. The rule
    that a standing queue, not a long one, is the sign of overload is CoDel's (Nichols and
    Jacobson, "Controlling Queue Delay", 2012).

    Pure and unsynchronised.

    Args:
        interval: In seconds; also how long a queue must be short for the shedding to end.
        max_wait: The wait of a full queue, in seconds.

    Attributes:
        state: NORMAL below the target, PUSHBACK above it, SHEDDING once the queue stands.
    """

    __slots__ = (
        "_ended_at",
        "_excess",
        "_interval",
        "_least",
        "_least_before",
        "_max_wait",
        "_seen",
        "_since",
        "state",
    )

    state: Backpressure
    _interval: float
    _max_wait: float
    _since: float | None
    _seen: float
    _excess: float
    _least: float
    _least_before: float
    _ended_at: float | None

    def __init__(self, interval: float, max_wait: float) -> None:
        self._interval = interval
        self._max_wait = max_wait
        self.start_afresh()

    def __repr__(self) -> str:
        return f"<OverloadDetector {self.state}, {self._excess * 1e3:.1f} ms x s in excess>"

    def start_afresh(self) -> None:
        """Have seen nothing."""
        self.state = Backpressure.NORMAL
        # In SHEDDING the instant since which the queue has been short, else that since which it has been long.
        self._since = None
        self._seen = self._excess = self._least = self._least_before = 0.0
        self._ended_at = None

    def observe(self, wait: float, target: float, now: float, *, short: bool) -> None:
        """Follow the queue.

        Args:
            wait: What a newcomer waits, in seconds.
            target: The wait that is aimed at, in seconds.
            now: The instant, in seconds.
            short: Whether the queue is so short that nothing speaks for overload.
        """
        if self.state is Backpressure.SHEDDING:
            self._shedding(now, short=short and wait < target)
        elif wait < target:
            self._since = None
            self.state = Backpressure.NORMAL
        else:
            self._above(wait, target, now)

    def _shedding(self, now: float, *, short: bool) -> None:
        """Calls that leave together empty a queue that stands again a moment later: a whole interval counts."""
        if not short:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= self._interval:
            self.start_afresh()
            self._ended_at = now

    def _above(self, wait: float, target: float, now: float) -> None:
        if self._since is None:
            self._since = self._seen = now
            self._least = self._least_before = wait
            self._excess = 0.0
        self._excess += (wait - target) * (now - self._seen)
        self._seen = now
        self._least = min(self._least, wait)
        self.state = Backpressure.PUSHBACK
        if now - self._since >= self._interval:
            self._judge(wait, now)

    def _judge(self, wait: float, now: float) -> None:
        if self._least_before - self._least > _DRAINING * self._interval:
            self._excess = 0.0
        elif self._excess >= self._patience(now):
            self.state = Backpressure.SHEDDING
            self._since = None
            return
        self._since, self._least_before, self._least = now, self._least, wait

    def _patience(self, now: float) -> float:
        resumed = self._ended_at is not None and now - self._ended_at < _RESUMING * self._interval
        return 0.0 if resumed else self._max_wait * self._interval
