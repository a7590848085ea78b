"""How far the clocks of other hosts run ahead, from the stamps that they send."""

from __future__ import annotations

from math import inf

_WINDOW = 300.0
_PARTS = 5
_PART = _WINDOW / _PARTS
_LATEST = 16
_EVIDENCE = 10
_MASK = (1 << _LATEST) - 1
_MOST_HOSTS = 64


class ClockSkews:
    """The skews of the clocks of several hosts, at most 64 of them.

    While it is full, a new host waits until another has been silent for five minutes.
    Arithmetic on instants; for one thread at a time.

    Args:
        tolerance: Differences down to this far below zero are no sign of skew, in seconds.
    """

    __slots__ = ("_hosts", "_tolerance")

    _hosts: dict[str, ClockSkew]
    _tolerance: float

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._hosts = {}

    def observe(self, host: str, difference: float, now: float) -> float:
        """Take a stamp into account, as `ClockSkew.observe`, whose answer it returns; 0 for a host that has no place.

        Args:
            host: Whose clock.
            difference: The time of receipt less the stamp, in seconds.
            now: The instant of receipt, in seconds.
        """
        skew = self._hosts.get(host) or self._add(host, now)
        return skew.observe(difference, now) if skew else 0.0

    def offsets(self, now: float) -> dict[str, float]:
        """Return the least difference of each host within the window, in seconds."""
        return {host: skew.offset for host, skew in self._hosts.items() if now - skew.latest < _WINDOW}

    def _add(self, host: str, now: float) -> ClockSkew | None:
        if len(self._hosts) >= _MOST_HOSTS:
            self._hosts = {each: skew for each, skew in self._hosts.items() if now - skew.latest < _WINDOW}
        if len(self._hosts) >= _MOST_HOSTS:
            return None
        return self._hosts.setdefault(host, ClockSkew(self._tolerance))


class ClockSkew:
    """Estimates how far the clock of one host runs ahead, by the least difference seen in five minutes.

    The difference of a stamp is the delay that it measures less the skew. No delay is
    negative, so a negative difference proves skew, and the least one is nearest to it: the
    minimum filter of NTP's clients (RFC 5905, section 10), one way. A positive minimum
    cannot be told from a delay that every request has, and is never subtracted.

    One odd stamp proves nothing, or a single one could age all others; and a clock that was
    set right is to be believed soon. So a clock counts as ahead while ten of its latest
    sixteen stamps lie in the future. That is no longer so when the delay of most is longer
    than the skew: then there is no correction, and ages are too small by the skew.

    Arithmetic on instants; for one thread at a time.

    Args:
        tolerance: Differences down to this far below zero are no sign of skew, in seconds.

    Attributes:
        latest: The instant of the latest stamp, in seconds.
        offset: The least difference in the window, in seconds; negative for a clock that is
            ahead, infinite before the first stamp.
    """

    __slots__ = ("_ahead", "_earlier", "_least", "_start", "_tolerance", "latest", "offset")

    latest: float
    offset: float
    _tolerance: float
    _ahead: int
    _start: float
    _least: float
    _earlier: list[tuple[float, float]]

    def __init__(self, tolerance: float) -> None:
        self.latest = -inf
        self.offset = inf
        self._tolerance = tolerance
        # A bit for each of the latest stamps, set for those in the future.
        self._ahead = 0
        # The window is five parts; of each only its start and its least difference are kept.
        self._start = -inf
        self._least = inf
        self._earlier = []

    def observe(self, difference: float, now: float) -> float:
        """Take a stamp into account; return the skew to subtract from its difference, 0 or below, in seconds.

        Args:
            difference: The time of receipt less the stamp, in seconds.
            now: The instant of receipt, in seconds; one that lies before the last one's part
                of the window, as when this host's clock was set, begins a new window.
        """
        if not 0.0 <= now - self._start < _PART:
            self._turn(now)
        self.latest = now
        self._least = min(self._least, difference)
        self.offset = min(self.offset, difference)
        self._ahead = (self._ahead << 1 | (difference < -self._tolerance)) & _MASK
        return min(0.0, self.offset) if self._ahead.bit_count() >= _EVIDENCE else 0.0

    def _turn(self, now: float) -> None:
        parts = [*self._earlier, (self._start, self._least)]
        self._earlier = [part for part in parts if 0.0 <= now - part[0] < _WINDOW]
        self._start, self._least = now, inf
        self.offset = min((least for _, least in self._earlier), default=inf)
