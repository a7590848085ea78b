"""Where the time of one request went, from the spans of its trace."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

from perfguard.telemetry.critical_path import Children, Leg, critical_path
from perfguard.telemetry.trace_file import RecordedSpan

Key = Callable[[RecordedSpan], str]
"""Maps spans that are taken to be independent, when they are siblings, to the same text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Independent siblings that ran one after the other.

    Attributes:
        labels: Their labels, without repetition, in order.
        count: How many they are.
        time: What they take together, in seconds.
        longest: What the longest takes, in seconds.
    """

    labels: tuple[str, ...]
    count: int
    time: float
    longest: float


class RequestTimes:
    """The time of one request by parts.

    Args:
        span: The server span.
        children: The children of each span of its trace.
        key: Says which siblings are taken to be independent.

    Attributes:
        span: As given.
        queue: The time before service by `perfguard.queue.time`, in seconds; `None` if it is not told.
        service: The rest of the duration, in seconds.
        path: The critical path of the service.
    """

    span: RecordedSpan
    queue: float | None
    service: float
    path: Leg
    _held: float
    _key: Key

    def __init__(self, span: RecordedSpan, children: Children, key: Key) -> None:
        self.span = span
        self.queue = _seconds_of(span, "perfguard.queue.time")
        # The wait for a thread may stand amid the service; all other waits stand before it.
        self._held = min(_seconds_of(span, "perfguard.queue.thread_pool.time") or 0.0, self.queue or 0.0)
        self.service = self.duration - (self.queue or 0.0)
        self.path = critical_path(span, children, span.start + (self.queue or 0.0) - self._held)
        self._key = key

    @property
    def duration(self) -> float:
        """From arrival to the end of the response, in seconds."""
        return self.span.end - self.span.start

    @cached_property
    def own(self) -> dict[str, float]:
        """What each kind of span adds to the service time, apart from the spans below it, in seconds, by label."""
        times: defaultdict[str, float] = defaultdict(float)
        for leg in self.path.walk():
            times[leg.span.label] += self._own(leg)
        return times

    @cached_property
    def counts(self) -> Counter[str]:
        """How many spans of each label are on the critical path."""
        return Counter(leg.span.label for leg in self.path.walk())

    @cached_property
    def runs(self) -> dict[tuple[str, str], Run]:
        """The longest run of each kind, by the label of the parent and the key of the siblings."""
        runs: dict[tuple[str, str], Run] = {}
        for leg in self.path.walk():
            for key, legs in self._groups(leg).items():
                place = leg.span.label, key
                if len(legs) > 1 and (place not in runs or runs[place].count < len(legs)):
                    runs[place] = _run(legs)
        return runs

    @cached_property
    def width(self) -> int:
        """The most parts that could run at once."""
        return max(width for width, _ in self._widths(self.path, 1))

    @cached_property
    def serial(self) -> float:
        """The fraction of the service time that could run beside nothing else, 0 to 1."""
        alone = sum(time for width, time in self._widths(self.path, 1) if width == 1)
        return min(1.0, alone / self.service) if self.service > 0.0 else 1.0

    @property
    def speedup(self) -> float:
        """The most by which the service could become faster.

        By Amdahl's law (Amdahl, AFIPS 1967), for a serial fraction s and n parts at once: 1 / (s + (1 - s) / n).
        """
        return 1.0 / (self.serial + (1.0 - self.serial) / self.width)

    @property
    def shortest(self) -> float:
        """The service time if of each run only the longest counted, in seconds."""
        return self._shortest(self.path)

    def _own(self, leg: Leg) -> float:
        return max(0.0, leg.own - self._held) if leg is self.path else leg.own

    def _groups(self, leg: Leg) -> dict[str, list[Leg]]:
        groups: dict[str, list[Leg]] = {}
        for each in leg.legs:
            groups.setdefault(self._key(each.span), []).append(each)
        return groups

    def _widths(self, leg: Leg, width: int) -> Iterator[tuple[int, float]]:
        """Each stretch of own time with how many could run beside one another there, itself included."""
        yield width, self._own(leg)
        for legs in self._groups(leg).values():
            for each in legs:
                yield from self._widths(each, width * len(legs))

    def _shortest(self, leg: Leg) -> float:
        return self._own(leg) + sum(max(map(self._shortest, legs)) for legs in self._groups(leg).values())


def _seconds_of(span: RecordedSpan, name: str) -> float | None:
    value = span.attributes.get(name)
    if isinstance(value, str | bool | None) or not isfinite(value) or value < 0.0:
        return None
    return min(float(value), span.end - span.start)


def _run(legs: list[Leg]) -> Run:
    durations = [leg.duration for leg in legs]
    labels = tuple(dict.fromkeys(leg.span.label for leg in legs))
    return Run(labels=labels, count=len(legs), time=sum(durations), longest=max(durations))
