"""A cost in the process beside its goal, as a line of a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One figure; times in seconds.

    Args:
        name: What was measured.
        value: The median.
        goal: The most that it may be; `None` for what is only compared with.
        scale: What a second is multiplied with for the table.
        unit: The unit of the scaled figure.
    """

    name: str
    value: float
    goal: float | None = None
    scale: float = 1e6
    unit: str = "us"

    @property
    def met(self) -> bool:
        """Whether it is within its goal."""
        return self.goal is None or self.value <= self.goal


def head() -> str:
    """The head of the table, two lines."""
    return "| cost | median | goal | verdict |\n|---|---|---|---|"


def line(cost: Cost) -> str:
    """A cost as a line of a Markdown table."""
    goal = "" if cost.goal is None else f"{cost.goal * cost.scale:g} {cost.unit}"
    verdict = "" if cost.goal is None else ("met" if cost.met else "NOT MET")
    return f"| {cost.name} | {cost.value * cost.scale:.1f} {cost.unit} | {goal} | {verdict} |"
