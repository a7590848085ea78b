"""Writes the report of the simulations: every contender in every scenario, beside the phase oracle."""

from __future__ import annotations

import sys
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from perfguard.limits import FixedLimit, Limiter
from tests.simulations.contenders import CONTENDERS
from tests.simulations.engine import Outcomes, Scenario, Simulation
from tests.simulations.oracle import GRID, Oracle, oracle
from tests.simulations.scenarios import EXCUSED, NOT_SIMULATED, SCENARIOS

Row = tuple[float, float, float]
"""Good answers, p99 in seconds, share refused."""

OWN = "littles-law"
HEADER = """\
Simulations of the limits, in virtual time, with the shipped limiter and admission queue; one seed for all.
`make sim` rewrites this file.

The oracle is the best fixed limit of each phase: goodput is its highest, summed over the phases; p99 is that of the
least p99 among the limits within 1 % of the highest. `share` is goodput over the oracle's, `p99` the 99th percentile of
the admitted over the oracle's, `refused` the share of all calls.

Gates of LittlesLawLimit: share at least 0.95 where a queue forms (`queue`), p99 at most 1.5 there, refused at most
0.005 where no call need be (`healthy`).
"""


def main() -> None:
    """Simulate on all cores; rewrite `report.txt` beside this file."""
    with get_context("spawn").Pool() as pool:
        # The longest first, so that no core is left with one of them at the end.
        order = sorted(range(len(SCENARIOS)), key=lambda each: -_calls(SCENARIOS[each]))
        by_number = dict(pool.imap_unordered(simulate, order, chunksize=1))
    results = [by_number[number] for number in range(len(SCENARIOS))]
    text = report(results)
    Path(__file__).with_name("report.txt").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def simulate(number: int) -> tuple[int, tuple[Oracle, dict[str, Row]]]:
    """Run every contender and every fixed limit in one scenario."""
    scenario = SCENARIOS[number]
    best = oracle([(value, Simulation(scenario, Limiter(FixedLimit(value))).run()) for value in GRID])
    rows = {name: _row(Simulation(scenario, make()).run()) for name, make in CONTENDERS.items()}
    return number, (best, rows)


def report(results: list[tuple[Oracle, dict[str, Row]]]) -> str:
    """Return the report as text."""
    lines = [HEADER, *_gates(results), "", *_shares(results), "", *_tails(results), "", *_not_simulated()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def missed(scenario: Scenario, share: float, ratio: float, refused: float) -> list[str]:
    """Return which gates a result misses."""
    found = []
    if scenario.queued and share < 0.95:
        found.append("share")
    if scenario.queued and ratio > 1.5:
        found.append("p99")
    if scenario.healthy and refused > 0.005:
        found.append("refused")
    return found


def _gates(results: list[tuple[Oracle, dict[str, Row]]]) -> list[str]:
    lines = [f"{'LittlesLawLimit':40} {'kind':8} {'best limits':>14} {'share':>6} {'p99':>6} {'refused':>8}"]
    for scenario, (best, rows) in zip(SCENARIOS, results, strict=True):
        good, p99, refused = rows[OWN]
        share, ratio = good / max(1, best.good), p99 / max(1e-9, best.p99)
        kind = "healthy" if scenario.healthy else "queue" if scenario.queued else ""
        limits = ", ".join(map(str, best.limits))
        gates = missed(scenario, share, ratio, refused)
        note = f"  misses {', '.join(gates)}: {EXCUSED.get(scenario.name, 'open')}" if gates else ""
        lines.append(f"{scenario.name:40} {kind:8} {limits:>14} {share:6.3f} {ratio:6.2f} {refused:8.4f}{note}")
    return lines


def _shares(results: list[tuple[Oracle, dict[str, Row]]]) -> list[str]:
    tables = [{name: row[0] / max(1, best.good) for name, row in rows.items()} for best, rows in results]
    columns = {name: [table[name] for table in tables] for name in CONTENDERS}
    return [
        *_table("Share of the oracle's goodput", tables),
        f"{'least':40}" + "".join(f"{min(column):12.2f}" for column in columns.values()),
        f"{'mean':40}" + "".join(f"{sum(column) / len(column):12.2f}" for column in columns.values()),
    ]


def _tails(results: list[tuple[Oracle, dict[str, Row]]]) -> list[str]:
    tables = [{name: row[1] / max(1e-9, best.p99) for name, row in rows.items()} for best, rows in results]
    return _table("p99 of the admitted over the oracle's", tables)


def _table(title: str, tables: list[dict[str, float]]) -> list[str]:
    lines = [f"{title:40}" + "".join(f"{name:>12}" for name in CONTENDERS)]
    for scenario, table in zip(SCENARIOS, tables, strict=True):
        lines.append(f"{scenario.name:40}" + "".join(f"{table[name]:12.2f}" for name in CONTENDERS))
    return lines


def _not_simulated() -> list[str]:
    return ["Not simulated", *(f"{name:6} {why}" for name, why in NOT_SIMULATED.items())]


def _row(outcomes: Outcomes) -> Row:
    return outcomes.good, outcomes.p99(), outcomes.refused


def _calls(scenario: Scenario) -> float:
    return scenario.rate(scenario.duration / 2.0) * scenario.duration


if __name__ == "__main__":
    main()
