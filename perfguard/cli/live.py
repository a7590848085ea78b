"""The display of a run while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from perfguard.cli.load import Kind, OnProgress, Progress

COLOURS = {
    Kind.GOOD: "green",
    Kind.REFUSED: "blue",
    Kind.LATE: "yellow",
    Kind.ERROR: "red",
    Kind.UNANSWERED: "magenta",
    Kind.UNSENT: "bright_black",
}


GLYPHS = {
    Kind.GOOD: "\u2588",
    Kind.REFUSED: "\u2592",
    Kind.LATE: "~",
    Kind.ERROR: "x",
    Kind.UNANSWERED: "\u00b7",
    Kind.UNSENT: "-",
}
"""So that bars can be told apart without colour."""


class LoadDisplay:
    """A progress bar, what is under way, and the counts so far.

    Args:
        title: What is being done, in rich markup.
    """

    def __init__(self, title: str) -> None:
        self._title = Text.from_markup(title)
        self._now: Progress | None = None
        self._before: Progress | None = None

    def __rich__(self) -> RenderableType:
        if self._now is None:
            return self._title
        return Group(self._title, _bar(self._now), _flow(self._now, self._good_rate()), _counts(self._now))

    def update(self, progress: Progress) -> None:
        """Take the latest figures."""
        self._before, self._now = self._now, progress

    def _good_rate(self) -> float:
        if self._now is None or self._before is None or self._now.elapsed <= self._before.elapsed:
            return 0.0
        good = _good(self._now) - _good(self._before)
        return good / (self._now.elapsed - self._before.elapsed)


@contextmanager
def watching(console: Console, title: str) -> Iterator[OnProgress]:
    """Show a run while it runs, where the console is a terminal; yields what takes the progress."""
    display = LoadDisplay(title)
    if not console.is_terminal:
        yield display.update
        return
    with Live(display, console=console, refresh_per_second=4, transient=True) as live:

        def update(progress: Progress) -> None:
            display.update(progress)
            live.refresh()

        yield update


def count_line(counts: dict[str, int]) -> Text:
    """Counts by kind on one line, in their colours."""
    parts = [
        Text(f"{counts[kind.value]:,} {kind.value}", style=colour)
        for kind, colour in COLOURS.items()
        if counts.get(kind.value)
    ]
    return Text("  ").join(parts) if parts else Text("no answers yet", style="dim")


def _bar(progress: Progress) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    elapsed = min(max(progress.elapsed, 0.0), progress.duration)
    grid.add_row(
        ProgressBar(total=progress.duration, completed=elapsed, width=40),
        f"{elapsed:.0f} of {progress.duration:.0f} s",
    )
    return grid


def _flow(progress: Progress, rate: float) -> Text:
    return Text(
        f"{progress.sent:,} sent, {progress.in_flight:,} in flight on {progress.open:,} connections, {rate:,.0f} good/s"
    )


def _counts(progress: Progress) -> Text:
    return count_line(progress.counts)


def _good(progress: Progress) -> int:
    return progress.counts.get(Kind.GOOD.value, 0)
