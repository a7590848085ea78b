"""Writes the report of the simulations: every limit in every scenario, beside the best fixed one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from perfguard.limits import AIMDLimit, FixedLimit, Gradient2Limit, Limit, LittlesLawLimit, VegasLimit
from tests.simulations.engine import Outcomes, Simulation
from tests.simulations.scenarios import SCENARIOS

LIMITS: dict[str, Callable[[], Limit]] = {
    "littles-law": LittlesLawLimit,
    "vegas": VegasLimit,
    "vegas per call": lambda: VegasLimit(window=0),
    "gradient2": Gradient2Limit,
    "aimd": AIMDLimit,
    "fixed 20": lambda: FixedLimit(20),
}
FIXED = (2, 3, 5, 8, 12, 16, 25, 50, 120, 700)
Job = tuple[int, str]
Row = tuple[int, str, float, float, float]


def main() -> None:
    """Simulate on all cores; rewrite `report.txt` beside this file."""
    names = [*LIMITS, *(str(value) for value in FIXED)]
    jobs = [(number, name) for number in range(len(SCENARIOS)) for name in names]
    with get_context("spawn").Pool() as pool:
        rows = pool.map(simulate, jobs, chunksize=1)
    text = report(rows)
    Path(__file__).with_name("report.txt").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def simulate(job: Job) -> Row:
    """Run one limit in one scenario."""
    number, name = job
    limit = LIMITS[name]() if name in LIMITS else FixedLimit(int(name))
    outcomes: Outcomes = Simulation(SCENARIOS[number], limit).run()
    offered = outcomes.offered
    return number, name, len(outcomes.good) / offered, outcomes.p99(), outcomes.refused / offered


def report(rows: list[Row]) -> str:
    """Return the table as text."""
    lines = [
        "Goodput as a share of the best fixed limit's, p99 of the answered as a multiple of its p99, and the share",
        "of calls refused. The best fixed limit is, of those tried, the one with the least p99 among those within 1 %",
        "of the highest goodput. Same seed for all; `make sim` rewrites this file.",
        "",
        f"{'scenario':32} {'best':>5} " + " ".join(f"{name:>18}" for name in LIMITS),
    ]
    for number, scenario in enumerate(SCENARIOS):
        by_name = {row[1]: row for row in rows if row[0] == number}
        best = _best([by_name[str(value)] for value in FIXED])
        cells = [_cell(by_name[name], best) for name in LIMITS]
        lines.append(f"{scenario.name:32} {best[1]:>5} " + " ".join(cells))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _best(fixed: list[Row]) -> Row:
    highest = max(row[2] for row in fixed)
    return min((row for row in fixed if row[2] >= 0.99 * highest), key=lambda row: row[3])


def _cell(row: Row, best: Row) -> str:
    return f"{row[2] / best[2]:6.3f} {row[3] / best[3]:5.2f} {row[4]:5.3f}"


if __name__ == "__main__":
    main()
