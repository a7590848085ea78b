"""Measures goodput under overload on real servers, and costs in the process; a full run writes docs/benchmarks.md.

Arguments choose rows whose name contains one of them; `BENCH_SECONDS` and `BENCH_REPEATS` shorten each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from perfguard.cli.machine import kept_off
from tests.benchmarks import costs, in_process, report
from tests.benchmarks.measure import Note, measure
from tests.benchmarks.rows import Row, head, line
from tests.benchmarks.serving import CORES
from tests.benchmarks.settings import HALVING, ROUTES, SETTINGS
from tests.benchmarks.special import halving, routes

IN_PROCESS = "in the process"

Measurement = Callable[[Note], Iterator[Row]]


def measurements() -> dict[str, Measurement]:
    """Everything that runs on a server, by name."""
    return {
        **{each.name: partial(measure, each) for each in SETTINGS},
        ROUTES: routes,
        HALVING: halving,
    }


def main(words: list[str]) -> None:
    """Measure all, or what the words choose."""
    notes: list[str] = []
    rows: list[Row] = []
    print(head(), flush=True)
    with kept_off(CORES.server):
        for name, each in measurements().items():
            if chosen(name, words):
                rows += shown(each(partial(_note, notes)))
    figures = in_process.costs() if chosen(IN_PROCESS, words) else []
    print("\n".join([costs.head(), *map(costs.line, figures)]) if figures else "")
    if not words:
        report.PATH.write_text(report.page(rows, figures, notes), encoding="utf-8")
    verdicts = [each.met for each in rows if each.goal] + [each.met for each in figures if each.goal]
    print(f"{sum(verdicts)} of {len(verdicts)} goals met")


def chosen(name: str, words: list[str]) -> bool:
    """Whether a name is asked for."""
    return not words or any(word in name for word in words)


def shown(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, printed as they come."""
    for row in rows:
        print(line(row), flush=True)
        if row.doubt:
            print(f"doubtful: {row.doubt}", flush=True)
        yield row


def _note(notes: list[str], sentence: str) -> None:
    notes.append(sentence)
    print(sentence, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
