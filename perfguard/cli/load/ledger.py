"""What happened to every request of a run, in columns of plain numbers, and the sums that reports are made of."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One row for each request, in the order of the intended instants.

    All instants are seconds from the start of the run; NaN never occurs, and an instant that did not come is 0.

    Args:
        intended: When the schedule wanted the request sent.
        sent: When the generator began to send it: by writing, or by opening a connection.
        finished: When it settled.
        fate: The HTTP status, or a `Fate`.
    """

    intended: array[float]
    sent: array[float]
    finished: array[float]
    fate: array[int]

    @classmethod
    def blank(cls, intended: array[float]) -> Ledger:
        """A ledger in which nothing has happened yet."""
        zeros = bytes(8 * len(intended))
        return cls(
            intended=intended,
            sent=array("d", zeros),
            finished=array("d", zeros),
            fate=array("h", bytes(2 * len(intended))),
        )

    def __len__(self) -> int:
        return len(self.intended)

    def __repr__(self) -> str:
        return f"<Ledger of {len(self)} requests>"

    def pick(self, rows: list[int]) -> Ledger:
        """A ledger of some rows, which must be in order."""
        return Ledger(
            intended=array("d", (self.intended[row] for row in rows)),
            sent=array("d", (self.sent[row] for row in rows)),
            finished=array("d", (self.finished[row] for row in rows)),
            fate=array("h", (self.fate[row] for row in rows)),
        )

    def between(self, start: float, stop: float) -> Ledger:
        """The rows intended at `start` <= instant < `stop`, in seconds from the start of the run."""
        part = slice(bisect_left(self.intended, start), bisect_left(self.intended, stop))
        return Ledger(
            intended=self.intended[part], sent=self.sent[part], finished=self.finished[part], fate=self.fate[part]
        )

    def answered_within(self, limit: float) -> float:
        """The share of the requests that got any HTTP answer within `limit` seconds of the intended instant."""
        rows = zip(self.intended, self.finished, self.fate, strict=True)
        hits = sum(1 for intended, finished, fate in rows if fate > 0 and finished - intended <= limit)
        return hits / len(self) if len(self) else 0.0

    def latencies(self) -> Iterator[tuple[int, float]]:
        """The fate of each row, with the seconds from the intended instant to its end."""
        for intended, finished, fate in zip(self.intended, self.finished, self.fate, strict=True):
            yield fate, finished - intended
