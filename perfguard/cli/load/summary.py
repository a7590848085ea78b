"""From the rows of a ledger to the figures of a report."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from perfguard.cli.load.distribution import Distribution
from perfguard.cli.load.fate import REFUSAL, SUCCESS, Fate, Kind, describe, kind_of
from perfguard.cli.load.ledger import Ledger

CLOSED_LOOP_USERS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One second of a run: what became of the requests that were intended in it.

    Args:
        second: Seconds from the start to the beginning of this one.
        counts: Requests by `Kind` value.
        served: Good answers that came back in this second, whenever they were intended.
    """

    second: int
    counts: dict[str, int]
    served: int

    @property
    def offered(self) -> int:
        """Requests intended in this second."""
        return sum(self.counts.values())

    @property
    def goodput(self) -> int:
        """Requests intended in this second that got a success within the deadline."""
        return self.counts.get(Kind.GOOD.value, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a stretch of time. Durations in seconds, from the intended instant unless said otherwise.

    Args:
        duration: The length of the stretch.
        counts: Requests by `Kind` value; together they are all that were offered.
        errors: The requests of kind `ERROR` by what happened to them.
        statuses: Answers by HTTP status.
        latency: Of the successes (2xx), good and late.
        refusals: Of the refusals (503 and 429).
        answers: Of every HTTP answer.
        closed_loop: What a closed-loop tool would have reported of the same server under the same load; see
            `closed_loop_view`.
    """

    duration: float
    counts: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    latency: Distribution = field(default_factory=Distribution)
    refusals: Distribution = field(default_factory=Distribution)
    answers: Distribution = field(default_factory=Distribution)
    closed_loop: Distribution = field(default_factory=Distribution)

    def count(self, kind: Kind) -> int:
        """How many requests ended in this way."""
        return self.counts.get(kind.value, 0)

    def share(self, kind: Kind) -> float:
        """Which part of the offered requests ended in this way, from 0 to 1."""
        return self.count(kind) / self.offered if self.offered else 0.0

    def failures(self) -> list[str]:
        """The requests that got no success, in words, by what happened to them."""
        refused = {describe(status): number for status, number in self.statuses.items() if status in REFUSAL}
        lost = {kind.value: self.count(kind) for kind in (Kind.UNANSWERED, Kind.UNSENT) if self.count(kind)}
        return [f"{number:,} x {words}" for words, number in (refused | self.errors | lost).items()]

    @property
    def offered(self) -> int:
        """How many requests the schedule held."""
        return sum(self.counts.values())

    @property
    def goodput(self) -> float:
        """Successes within the deadline, per second."""
        return self.count(Kind.GOOD) / self.duration if self.duration else 0.0

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "duration": self.duration,
            "offered": self.offered,
            "goodput": self.goodput,
            "counts": {kind.value: self.count(kind) for kind in Kind},
            "errors": self.errors,
            "statuses": {str(status): number for status, number in sorted(self.statuses.items())},
            "latency": self.latency.as_dict(),
            "refusals": self.refusals.as_dict(),
            "answers": self.answers.as_dict(),
            "closed_loop": {"users": CLOSED_LOOP_USERS, **self.closed_loop.as_dict()},
        }


def summarise(ledger: Ledger, deadline: float, duration: float) -> Summary:
    """The figures of a ledger; deadline and duration in seconds."""
    rows = list(ledger.latencies())
    kinds = Counter(kind_of(fate, latency, deadline) for fate, latency in rows)
    failed = Counter(fate for fate, latency in rows if kind_of(fate, latency, deadline) is Kind.ERROR)
    return Summary(
        duration=duration,
        counts={kind.value: number for kind, number in kinds.items()},
        errors={describe(fate): number for fate, number in failed.most_common()},
        statuses=dict(Counter(fate for fate, _ in rows if fate > 0)),
        latency=Distribution.of(latency for fate, latency in rows if fate in SUCCESS),
        refusals=Distribution.of(latency for fate, latency in rows if fate in REFUSAL),
        answers=Distribution.of(latency for fate, latency in rows if fate > 0),
        closed_loop=Distribution.of(closed_loop_view(ledger, CLOSED_LOOP_USERS)),
    )


def closed_loop_view(ledger: Ledger, users: int) -> Iterator[float]:
    """The latencies that a closed-loop tool would have recorded of a run, in seconds.

    Such a tool has a fixed number of users.
    Each sends, waits for the answer, and only then sends again, so that nobody is there to be counted while the
    server stalls; it times from the sending; and it reports every answer alike, a fast refusal too.
    This walks through the rows of the real run with that many users: a free user takes the next request that was
    sent and is busy until that ended. Requests that nobody was free for, and those without an answer, are omitted.
    Known as coordinated omission (Gil Tene, "How NOT to Measure Latency", 2013).
    """
    free_at = [0.0] * users
    for sent, finished, fate in zip(ledger.sent, ledger.finished, ledger.fate, strict=True):
        if free_at[0] > sent or fate == Fate.UNSENT:
            continue
        heapq.heapreplace(free_at, finished)
        if fate > 0:
            yield finished - sent


def slices(ledger: Ledger, deadline: float, duration: float) -> tuple[Slice, ...]:
    """A run second by second; deadline and duration in seconds."""
    length = int(duration) + (duration % 1 > 0)
    counts: list[Counter[str]] = [Counter() for _ in range(length)]
    served: Counter[int] = Counter()
    for intended, (fate, latency) in zip(ledger.intended, ledger.latencies(), strict=True):
        kind = kind_of(fate, latency, deadline)
        counts[min(int(intended), length - 1)][kind.value] += 1
        served[int(intended + latency)] += kind is Kind.GOOD
    return tuple(Slice(second=at, counts=dict(counts[at]), served=served[at]) for at in range(length))
