"""What is measured and what is wanted: rows of the report, the goals of each, and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OF_THE_LIMIT = 0.97
"""Where a goal is beyond what this machine can do at all, this share of what it can do is wanted."""

_ROUNDING = 0.0005


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a row must show; `None` asks for nothing.

    Args:
        share: Goodput as a share of what the row compares with.
        of_limit: Goodput as a share of the limit, where that is what is asked for.
        answered: The share of requests that get an answer within the deadline.
        p99: The 99th percentile of the admitted, in seconds.
        nothing_refused: Whether not one request may be refused, in any repeat.
    """

    share: float | None = None
    of_limit: float | None = None
    answered: float | None = None
    p99: float | None = None
    nothing_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement: shares from 0 to 1, times in seconds.

    Args:
        service: What was served, on which server.
        load: What was offered.
        side: What protected it.
        goal: What was wanted; `None` for what is only compared with.
        share: Goodput as a share of the unguarded peak, or of what `service` says.
        limit: The most that `share` can be with refusals at their cost; `None` where the processor is no limit.
        answered: The share of requests that got an answer within the deadline.
        p50: Of the successes.
        p99: Of the successes.
        refused: The share of requests that were refused.
        refused_p99: Of the refusals.
        doubt: Why the figures are doubtful; empty is good.
    """

    service: str
    load: str
    side: str
    share: float
    answered: float
    p50: float
    p99: float
    refused: float
    refused_p99: float
    goal: Goal | None = None
    limit: float | None = None
    doubt: str = ""

    @property
    def wanted(self) -> float | None:
        """The share to reach: the goal, or nearly the limit where that is less."""
        if self.goal is not None and self.goal.of_limit is not None:
            return self.goal.of_limit * min(1.0, self.limit or 1.0)
        if self.goal is None or self.goal.share is None:
            return None
        if self.limit is not None and self.limit < self.goal.share:
            return OF_THE_LIMIT * self.limit
        return self.goal.share

    @property
    def verdict(self) -> str:
        """Whether the goals were reached, and which were not; empty without goals."""
        if self.goal is None:
            return ""
        missed = list(_missed(self, self.goal))
        return f"NOT MET: {', '.join(missed)}" if missed else "met"

    @property
    def met(self) -> bool:
        """Whether no goal was missed."""
        return not self.verdict.startswith("NOT")


def _missed(row: Row, goal: Goal) -> Iterator[str]:
    if row.wanted is not None and row.share < row.wanted - _ROUNDING:
        yield "goodput"
    if goal.answered is not None and row.answered < goal.answered - _ROUNDING * (goal.answered < 1.0):
        yield "answered"
    if goal.p99 is not None and row.p99 > goal.p99:
        yield "p99"
    if goal.nothing_refused and row.refused:
        yield "refusals"


def middle(rows: Sequence[Row]) -> Row:
    """The row that stands for its repeats: the one of median goodput, but the worst where nothing may be refused."""
    goal = rows[0].goal
    if goal is not None and goal.nothing_refused:
        return max(rows, key=lambda row: (row.refused, -row.answered))
    ordered = sorted(rows, key=lambda row: row.share)
    return ordered[(len(ordered) - 1) // 2]


HEADS = (
    "service",
    "load",
    "protection",
    "goodput",
    "goal",
    "limit",
    "of the limit",
    "answered in time",
    "goal",
    "p50 ms",
    "p99 ms",
    "refused",
    "refusals p99 ms",
    "verdict",
)


def line(row: Row) -> str:
    """A row as a line of a Markdown table."""
    goal = row.goal or Goal()
    p99 = _milliseconds(row.p99) + (f" (goal {_milliseconds(goal.p99)})" if goal.p99 else "")
    cells = [row.service, row.load, row.side, f"{row.share:.1%}"]
    wanted = _percent(goal.share) if goal.of_limit is None else f"{_percent(goal.of_limit)} of the limit"
    cells += [wanted, _percent(row.limit), _percent(row.share / row.limit if row.limit else None)]
    cells += [f"{row.answered:.2%}", _percent(goal.answered), _milliseconds(row.p50), p99]
    cells += [f"{row.refused:.1%}", _milliseconds(row.refused_p99), row.verdict + (" (doubtful)" if row.doubt else "")]
    return f"| {' | '.join(cells)} |"


def head() -> str:
    """The head of the table, two lines."""
    return f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}".removesuffix(".0") + " %"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if seconds else ""
