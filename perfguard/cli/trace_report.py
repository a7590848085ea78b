"""The serial-bottleneck report in the terminal."""

from __future__ import annotations

from rich import box
from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from perfguard.cli.durations import format_duration
from perfguard.telemetry.serial import Figures, Independence, RouteReport, Sequential, SerialReport

_MOST_ROUTES = 20
_MOST_ROWS = 12
_MOST_STEPS = 30
_BAR = 32
_ASSUMED = {
    Independence.SAME_LABEL: "that spans of one label below one span need nothing from one another",
    Independence.SIBLINGS: "that no two spans below one span need anything from one another",
}


def print_trace_report(console: Console, report: SerialReport) -> None:
    """Print the routes that take the most time."""
    for route in report.routes[:_MOST_ROUTES]:
        _print_route(console, route)
    if len(report.routes) > _MOST_ROUTES:
        console.print(f"\n[dim]{len(report.routes) - _MOST_ROUTES} more routes take less time; --json has them.[/]")
    console.print(f"\n[dim]Assumed: {_ASSUMED[report.independence]}. Spans do not tell; look before you rearrange.[/]")
    if report.detached:
        console.print(f"[dim]{report.detached:,} of {report.spans:,} spans are below no request, and left out.[/]")


def _print_route(console: Console, route: RouteReport) -> None:
    traces = f"{route.traces:,} {'trace' if route.traces == 1 else 'traces'}"
    console.print(Text.assemble("\n", (_name(route), "bold"), f"  {traces}"))
    console.print(_parts(route))
    if route.sequential:
        console.print("One after the other:", _sequential(route.sequential), sep="\n")
    console.print(_gain(route))
    if route.steps:
        console.print(Text("\nThe critical path of the median trace:"), _steps(route), sep="\n")


def _name(route: RouteReport) -> str:
    return f"{route.method} {route.route or '(no route)'}".strip()


def _parts(route: RouteReport) -> RenderableType:
    table = _table("part", "spans", "median", "p95", "of service")
    table.add_row("from arrival to the end", "", *_both(route.duration), "")
    if route.queue is not None:
        table.add_row("  queue", "", *_both(route.queue), "", style="yellow")
    table.add_row("  service", "", *_both(route.service), "100%")
    for part in route.parts[:_MOST_ROWS]:
        count = f"{part.count.median:,.0f}"
        itself = " itself" if part.label == _name(route) else ""
        table.add_row(Text(f"    {part.label}{itself}"), count, *_both(part.time), f"{part.share:.0%}")
    rest = sum(part.share for part in route.parts[_MOST_ROWS:])
    if rest:
        table.add_row(f"    {len(route.parts) - _MOST_ROWS} others", "", "", "", f"{rest:.0%}", style="dim")
    return table


def _sequential(rows: tuple[Sequential, ...]) -> RenderableType:
    table = _table("spans", "below", "traces", "in a row", "most", "together", "longest", "")
    for row in rows[:_MOST_ROWS]:
        table.add_row(
            Text(" + ".join(row.labels[:3]) + (" + ..." if len(row.labels) > 3 else "")),
            Text(row.parent),
            f"{row.traces:,}",
            f"{row.count.median:,.0f}",
            f"{row.most:,}",
            format_duration(row.time.median),
            format_duration(row.longest.median),
            Text("N+1?", style="bold red") if row.suspicious else "",
        )
    return table


def _gain(route: RouteReport) -> Text:
    serial = f"Serial fraction {route.serial.median:.0%} at the median ({route.serial.p95:.0%} at p95)"
    if route.width.p95 <= 1:
        return Text(f"{serial}: nothing that could run at once.")
    return Text.assemble(
        f"{serial}, and up to {route.width.median:,.0f} parts that could run at once: service at most ",
        (f"{route.speedup.median:.3g} times as fast", "bold"),
        f" (Amdahl); {format_duration(route.shortest.median)}"
        f" instead of {format_duration(route.service.median)} if only the longest of them counted.",
    )


def _steps(route: RouteReport) -> RenderableType:
    end = max(step.end for step in route.steps)
    table = Table.grid(padding=(0, 1))
    for step in route.steps[:_MOST_STEPS]:
        bar = Bar(size=end, begin=step.start, end=step.end, width=_BAR, color="cyan")
        many = f" x {step.count:,}" if step.count > 1 else ""
        label = Text(f"{'  ' * step.depth}{step.label}{many}")
        table.add_row(Text(f"{format_duration(step.start):>8}", style="dim"), bar, format_duration(step.time), label)
    if len(route.steps) > _MOST_STEPS:
        table.add_row("", "", "", Text(f"  {len(route.steps) - _MOST_STEPS} more", style="dim"))
    return table


def _both(figures: Figures) -> tuple[str, str]:
    return format_duration(figures.median), format_duration(figures.p95)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number and heading not in ("below", "") else "left")
    return table
