"""The page that a full run writes: docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfguard.cli.machine import Machine
from tests.benchmarks import costs
from tests.benchmarks.rows import OF_THE_LIMIT, Row, head, line
from tests.benchmarks.settings import DEADLINE, REPEATS, SECONDS, USERS

PATH = Path(__file__).parents[2] / "docs" / "benchmarks.md"

_METHOD = f"""\
One worker on one core, the load on another; default configuration on every side.
Loads are open-loop Poisson arrivals, as multiples of the unguarded peak,
for {SECONDS:g} s after a second that does not count; latency counts from the instant at which a request was due.
Rows of perfguard are the median of {REPEATS} runs (the worst run where nothing may be refused);
what it is compared with runs once.
The peak is what {USERS} users get who await their answers, without a guard;
rows of a closed loop compare with what as many users get without it.

Goodput is the share of that peak which got a 200 within {DEADLINE * 1e3:.0f} ms;
"answered in time" counts refusals too.
The limit is `(1 - offered x cost of a refusal) / (cost of a service - cost of a refusal)`,
with the processor time that the server needs for each, measured on this machine in the same mixture of both,
for an application that knows beforehand which requests to serve and turns the others away at once:
whatever decides, no more can be had.
Where a goal is beyond it, {OF_THE_LIMIT:.0%} of the limit is asked for.
"""


def page(rows: Sequence[Row], in_process: Sequence[costs.Cost], notes: Sequence[str]) -> str:
    """The report as Markdown."""
    doubts = sorted({row.doubt for row in rows if row.doubt})
    parts = ["# Benchmarks", "", f"{Machine.here()}.", "", _METHOD, "`make bench` measures all of it anew.", ""]
    parts += ["## Under load", "", head(), *map(line, rows), ""]
    parts += ["Doubtful rows: ", *(f"- {each}" for each in doubts), ""] if doubts else []
    parts += ["## Peaks and costs", "", *(f"- {each}" for each in notes), ""]
    parts += ["## In the process", "", costs.head(), *map(costs.line, in_process), ""]
    return "\n".join(parts)
