"""The calls that ended within a stretch of time, as a few numbers."""

from __future__ import annotations

_RESERVOIR = 256


class Window:
    """Counts calls, and summarises their times.

    Of the service times the latest 256 are kept for quantiles, each with the calls in flight
    when it started; the mean is of all.

    Args:
        start: The instant at which it opens, in seconds.

    Attributes:
        start: As given.
        count: Calls that ended, dropped ones included.
        dropped: Calls that ran into overload or a deadline.
        peak: The most calls in flight that any of them saw.
    """

    __slots__ = ("_beside", "_service", "_times", "_wait", "count", "dropped", "peak", "start")

    start: float
    count: int
    dropped: int
    peak: int
    _beside: int
    _service: float
    _wait: float
    _times: list[tuple[float, int]]

    def __init__(self, start: float) -> None:
        self.start = start
        self.count = 0
        self.dropped = 0
        self.peak = 0
        self._beside = 0
        self._service = 0.0
        self._wait = 0.0
        self._times = []

    def __repr__(self) -> str:
        return f"<Window {self.count} calls, {self.dropped} dropped, peak {self.peak}>"

    def add(self, service_time: float, in_flight: int, wait: float) -> None:
        """Count a call that ended well; times in seconds."""
        self.note(service_time, in_flight, wait)
        self.count += 1
        self._service += service_time
        self._wait += wait
        self._beside += in_flight
        self.peak = max(self.peak, in_flight)

    def note(self, service_time: float, in_flight: int, wait: float) -> None:
        """Keep the time of a call for the quantiles, without counting it; times in seconds."""
        times = self._times
        if len(times) < _RESERVOIR:
            times.append((service_time - wait, in_flight))
        else:
            times[self.count % _RESERVOIR] = (service_time - wait, in_flight)

    def drop(self, in_flight: int) -> None:
        """Count a call that was dropped: its time is censored, so it is left out."""
        self.count += 1
        self.dropped += 1
        self.peak = max(self.peak, in_flight)

    @property
    def served(self) -> int:
        """Calls that ended well."""
        return self.count - self.dropped

    @property
    def mean(self) -> float:
        """The mean service time, without the wait measured inside the process, in seconds."""
        return (self._service - self._wait) / self.served if self.served else 0.0

    @property
    def wait(self) -> float:
        """The mean wait measured inside the process, in seconds."""
        return self._wait / self.served if self.served else 0.0

    @property
    def beside(self) -> float:
        """The mean number of calls in flight that those which ended well saw at their start."""
        return self._beside / self.served if self.served else 0.0

    def quantile(self, share: float, *, in_flight: int | None = None, least: int = 1) -> float | None:
        """Return the service time, in seconds, that a share of the calls, 0 to 1, stay at or below.

        Args:
            share: The share.
            in_flight: Only of calls that started with at most so many in flight.
            least: The number of calls below which the answer is `None`.
        """
        times = sorted(time for time, beside in self._times if in_flight is None or beside <= in_flight)
        return times[min(len(times) - 1, int(share * len(times)))] if len(times) >= max(least, 1) else None
