"""Metrics of what a trusted proxy's stamps say of its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from perfguard._arrival import ProxyClock

_MOST_NAMES = 16
_OTHER = "_OTHER"


class ProxyClockMetrics:
    """Registers the observable metrics of a proxy clock.

    `perfguard.queue.clock_offset` (s) is the least of receipt less stamp of the last five
    minutes, by `perfguard.proxy`: the proxy's address, for the first sixteen, and `_OTHER`
    for the worst of the rest. Negative where a proxy's clock is ahead, by at least as much.

    `perfguard.queue.header.rejected` counts the stamps that were not believed, by
    `perfguard.rejection.reason`.

    Threads may collect while others serve.

    Args:
        meter: Where the instruments are made.
        clock: What they are read from.
        wall: Returns the time of day, in seconds since the epoch.
    """

    def __init__(self, meter: Meter, clock: ProxyClock, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._names: set[str] = set()
        meter.create_observable_gauge(
            "perfguard.queue.clock_offset",
            [self._offsets],
            unit="s",
            description="The least time of receipt less the proxy's stamp; negative if its clock is ahead.",
        )
        meter.create_observable_counter(
            "perfguard.queue.header.rejected",
            [self._rejected],
            unit="{header}",
            description="Stamps of trusted proxies that were not believed.",
        )

    def _offsets(self, options: CallbackOptions) -> Iterable[Observation]:
        least: dict[str, float] = {}
        for host, offset in self._clock.offsets(self._wall()).items():
            name = self._name(host)
            least[name] = min(offset, least.get(name, offset))
        return [Observation(offset, {"perfguard.proxy": name}) for name, offset in least.items()]

    def _name(self, host: str) -> str:
        if host not in self._names and len(self._names) >= _MOST_NAMES:
            return _OTHER
        self._names.add(host)
        return host

    def _rejected(self, options: CallbackOptions) -> Iterable[Observation]:
        counts = self._clock.rejected.copy()
        return [Observation(count, {"perfguard.rejection.reason": str(reason)}) for reason, count in counts.items()]
