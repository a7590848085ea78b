"""The report of a load run in the terminal."""

from __future__ import annotations

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from perfguard.cli.durations import format_duration, name_duration
from perfguard.cli.live import COLOURS
from perfguard.cli.load import CapacityResult, Distribution, Generator, Kind, LoadResult, TargetResult
from perfguard.cli.load.summary import CLOSED_LOOP_USERS

_COLUMNS = ("p50", "p90", "p99", "p99.9", "max")
_QUANTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
_SERIES_ROWS = 30


def print_load(console: Console, result: LoadResult) -> None:
    """Print the figures of a run."""
    for target in result.targets if len(result.targets) > 1 else ():
        console.print(f"\n[bold]{target.label}[/]")
        console.print(_outcome(target))
    console.print(f"\n[bold]{'all targets' if len(result.targets) > 1 else result.total.label}[/]")
    console.print(Group(_outcome(result.total), Text(), _latencies(result.total), Text(), _series(result.total)))
    console.print(Text(), _generator(result.generator))
    print_warnings(console, result.warnings)


def print_capacity(console: Console, result: CapacityResult) -> None:
    """Print the figures of a capacity measurement."""
    refused = bool(result.summary.refusals.count)
    what = "Served, while the server refused more" if refused else "Capacity"
    figure = f"[bold {'yellow' if refused else 'green'}]{result.rate:,.0f}[/]"
    console.print(f"\n{what}: {figure} successes per second with {result.plan.users} users")
    if len(result.windows) > 1:
        low, high = min(result.windows), max(result.windows)
        console.print(f"[dim]The median of {len(result.windows)} windows, from {low:,.0f} to {high:,.0f}.[/]")
    table = _latency_table("since it was sent")
    _add_latency(table, "successes", result.summary.latency, always=True)
    console.print(table)
    console.print("[dim]A closed loop measures what a server can do, not what its users wait.[/]")
    print_warnings(console, result.warnings)


def print_warnings(console: Console, warnings: tuple[str, ...]) -> None:
    """Print what makes the figures doubtful."""
    for warning in warnings:
        console.print(Text.assemble(("Warning: ", "bold yellow"), warning))


def _outcome(target: TargetResult) -> RenderableType:
    summary = target.summary
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "requests", "share", "per second"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind in Kind:
        number = summary.count(kind)
        if number or kind is Kind.GOOD:
            label = f"{kind.value} (within {name_duration(target.deadline)})" if kind is Kind.GOOD else kind.value
            share, rate = f"{summary.share(kind):.1%}", f"{number / summary.duration:,.1f}"
            table.add_row(Text(label, style=COLOURS[kind]), f"{number:,}", share, rate)
    for words, number in summary.errors.items():
        table.add_row(Text(f"  {words}", style="dim"), Text(f"{number:,}", style="dim"))
    table.add_section()
    table.add_row("offered", f"{summary.offered:,}", "", f"{summary.offered / summary.duration:,.1f}")
    return table


def _latencies(target: TargetResult) -> RenderableType:
    summary = target.summary
    table = _latency_table("since it was due")
    _add_latency(table, "successes", summary.latency, always=True)
    _add_latency(table, "refusals", summary.refusals)
    if summary.answers.count > summary.latency.count + summary.refusals.count:
        _add_latency(table, "all answers", summary.answers)
    table.add_section()
    if summary.latency.count:
        _add_latency(table, f"by {CLOSED_LOOP_USERS} closed-loop users", summary.closed_loop, style="dim")
    return table


def _latency_table(heading: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading)
    for column in ("answers", *_COLUMNS):
        table.add_column(column, justify="right")
    return table


def _add_latency(table: Table, label: str, latency: Distribution, *, style: str = "", always: bool = False) -> None:
    if latency.count or always:
        figures = (format_duration(latency.at(quantile)) for quantile in _QUANTILES)
        table.add_row(label, f"{latency.count:,}", *figures, style=style)


def _series(target: TargetResult) -> RenderableType:
    """Goodput over time: a bar for each second, or for each group of seconds in a long run."""
    step = -(-len(target.slices) // _SERIES_ROWS)
    groups = [target.slices[at : at + step] for at in range(0, len(target.slices), step)]
    most = max((sum(part.offered for part in group) for group in groups), default=0) or 1
    table = Table.grid(padding=(0, 1))
    for group in groups:
        good = sum(part.goodput for part in group)
        bar = Bar(size=most, begin=0, end=good, width=40, color="green")
        table.add_row(Text(f"{group[0].second:>4} s", style="dim"), bar, f"{good / len(group):,.0f}/s")
    return table


def _generator(generator: Generator) -> Text:
    lateness = generator.lateness
    return Text(
        f"Generator: {format_duration(lateness.p50)} late at the median, {format_duration(lateness.p99)} at p99;"
        f" {generator.opened_connections:,} connections opened, {generator.peak_connections:,} at once,"
        f" {generator.retried:,} requests repeated; {generator.cpu:.0%} of a core.",
        style="dim",
    )
