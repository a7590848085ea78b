"""The demonstration in the terminal: live while it runs, then a table and charts."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from perfguard.cli.demo.result import DemoResult, DemoRun, costs, verdict
from perfguard.cli.demo.scenario import DEADLINE
from perfguard.cli.durations import format_duration, name_duration
from perfguard.cli.live import COLOURS, GLYPHS, LoadDisplay
from perfguard.cli.load import CapacityResult, Kind, Progress

WITHOUT_COLOUR = "dark_orange3"
GUARDED_COLOUR = "cyan"

_BAR_WIDTH = 46
_COLUMNS = ("goodput\nper s", "of\ncapacity", "p50", "p99", "refused", "p99\nrefused", "unanswered")


class DemoDisplay:
    """Follows a demonstration, as its `Audience`; a context manager.

    Args:
        console: Where to; one that is not a terminal gets a line for each run instead.
        runs: How many runs there will be.
    """

    def __init__(self, console: Console, runs: int) -> None:
        self._console = console
        self._total = runs
        self._runs: list[DemoRun] = []
        self._capacity: CapacityResult | None = None
        self._current = LoadDisplay("Starting")
        self._live = Live(self, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich__(self) -> RenderableType:
        done = f"[dim]{len(self._runs)} of {self._total} runs done[/]"
        table = (run_table(self._runs, self._capacity.rate),) if self._capacity and self._runs else ()
        return Group(*table, self._current, Text.from_markup(done))

    def begin(self, title: str) -> None:
        """See `Audience.begin`."""
        self._current = LoadDisplay(f"[bold]{title}[/]")
        self._tell(f"{title} ...")

    def progress(self, progress: Progress) -> None:
        """See `Audience.progress`."""
        self._current.update(progress)

    def capacity(self, capacity: CapacityResult) -> None:
        """See `Audience.capacity`."""
        self._capacity = capacity
        self._tell(f"  capacity: {capacity.rate:,.0f} requests per second")

    def finished(self, run: DemoRun) -> None:
        """See `Audience.finished`."""
        self._runs.append(run)
        offered = run.measured.offered / run.measured.duration
        self._tell(f"  goodput: {run.measured.goodput:,.0f} of {offered:,.0f} offered per second")

    def _tell(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line)


def print_demo(console: Console, result: DemoResult) -> None:
    """Print what a demonstration found."""
    rate = result.capacity.rate
    console.print(
        f"\nCapacity without the guard: [bold]{rate:,.0f}[/] requests per second."
        f"\nDeadline of the clients: {name_duration(DEADLINE)}."
    )
    console.print(run_table(list(result.runs), rate))
    console.print("[bold]Goodput[/], in good answers per second", Text())
    console.print(_goodput_chart(result), Text())
    console.print("[bold]What became of the requests[/]", Text())
    console.print(_outcome_chart(result), Text())
    console.print(Text(verdict(result), style="bold green" if result.helped else "bold red"))
    for cost in costs(result):
        console.print(Text(cost, style="yellow"))
    for warning in result.warnings:
        console.print(Text.assemble(("Warning: ", "bold yellow"), warning))


def run_table(runs: list[DemoRun], capacity: float) -> Table:
    """The figures of some runs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("load")
    table.add_column("guard")
    for heading in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(*_row(run, capacity), end_section=run.guarded)
    return table


def _row(run: DemoRun, capacity: float) -> tuple[RenderableType, ...]:
    measured, colour = run.measured, GUARDED_COLOUR if run.guarded else WITHOUT_COLOUR
    return (
        f"{run.level:g}x",
        Text("yes" if run.guarded else "no", style=colour),
        Text(f"{measured.goodput:,.0f}", style=f"bold {colour}"),
        f"{measured.goodput / capacity:.0%}",
        format_duration(measured.latency.p50),
        format_duration(measured.latency.p99),
        f"{measured.share(Kind.REFUSED):.0%}",
        format_duration(measured.refusals.p99),
        f"{measured.share(Kind.UNANSWERED):.0%}",
    )


def _goodput_chart(result: DemoResult) -> Table:
    most = max(result.capacity.rate, *(run.measured.goodput for run in result.runs))
    table = _chart()
    for run in result.runs:
        colour = GUARDED_COLOUR if run.guarded else WITHOUT_COLOUR
        goodput = run.measured.goodput
        bar = Bar(size=most, begin=0, end=goodput, width=_BAR_WIDTH, color=colour)
        table.add_row(*_chart_label(run), bar, f"{goodput:,.0f}")
    bar = Bar(size=most, begin=0, end=result.capacity.rate, width=_BAR_WIDTH, color="bright_black")
    table.add_row("", Text("capacity", style="dim"), bar, f"{result.capacity.rate:,.0f}")
    return table


def _outcome_chart(result: DemoResult) -> Table:
    table = _chart()
    for run in result.runs:
        table.add_row(*_chart_label(run), _stacked(run))
    seen = [kind for kind in COLOURS if any(run.measured.count(kind) for run in result.runs)]
    legend = (Text(f"{GLYPHS[kind]} {kind.value}", style=COLOURS[kind]) for kind in seen)
    table.add_row("", "", Text("  ").join(legend))
    return table


def _chart() -> Table:
    return Table.grid(padding=(0, 1))


def _chart_label(run: DemoRun) -> tuple[RenderableType, ...]:
    colour = GUARDED_COLOUR if run.guarded else WITHOUT_COLOUR
    return f"{run.level:g}x" if not run.guarded else "", Text("guarded" if run.guarded else "without", style=colour)


def _stacked(run: DemoRun) -> Text:
    bar, position, share = Text(), 0, 0.0
    for kind, colour in COLOURS.items():
        share += run.measured.share(kind)
        end = round(share * _BAR_WIDTH)
        bar.append(GLYPHS[kind] * (end - position), style=colour)
        position = end
    return bar
