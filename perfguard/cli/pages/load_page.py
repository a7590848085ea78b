"""The page of a load run."""

from __future__ import annotations

import math
from html import escape

from perfguard.cli.durations import format_duration, name_duration
from perfguard.cli.load import QUANTILES, Distribution, Kind, LoadResult, Slice, Summary, TargetResult
from perfguard.cli.load.summary import CLOSED_LOOP_USERS
from perfguard.cli.pages.document import KINDS, card, document, table, tiles, warnings
from perfguard.cli.pages.svg import Axis, Scale, Series, line_chart, stacked_chart

_TIME_LABELS = 12
_HEADINGS = ("", "answers", "p50", "p90", "p99", "p99.9", "max")
_SHOWN = (50.0, 90.0, 99.0, 99.9, 100.0)


def load_page(result: LoadResult) -> str:
    """A self-contained HTML page of a run."""
    return document(
        f"Load on {result.plan.targets[0].url}",
        (
            _heading(result),
            warnings(result.warnings),
            _tiles(result.total),
            f'<div class="charts">{_over_time(result.total)}{_percentiles(result.total)}</div>',
            _latencies(result.total),
            _outcomes(result),
            _generator(result),
        ),
    )


def _heading(result: LoadResult) -> str:
    plan = result.plan
    urls = ", ".join(escape(target.url) for target in plan.targets)
    how = (
        f"{plan.expected / plan.duration:,.6g} requests per second for {name_duration(plan.duration)},"
        f" {plan.arrivals.value} arrivals, {plan.connections.value} connections,"
        f" deadline {name_duration(plan.deadline)}, {escape(result.started)}"
    )
    return f'<h1>Load on {urls}</h1><p class="soft">{how}.</p>'


def _tiles(target: TargetResult) -> str:
    summary = target.summary
    return tiles(
        (
            ("goodput, per second", f"{summary.goodput:,.0f}"),
            ("good, of all requests", f"{summary.share(Kind.GOOD):.1%}"),
            ("p50 of the successes", format_duration(summary.latency.p50)),
            ("p99 of the successes", format_duration(summary.latency.p99)),
            ("refused", f"{summary.share(Kind.REFUSED):.1%}"),
            ("unanswered", f"{summary.share(Kind.UNANSWERED):.1%}"),
        )
    )


def _over_time(target: TargetResult) -> str:
    every = math.ceil(len(target.slices) / _TIME_LABELS)
    groups = [f"{part.second} s" if part.second % every == 0 else "" for part in target.slices]
    series = [_kind_series(kind, target.slices) for kind in KINDS if target.summary.count(kind)]
    y = Axis(scale=Scale.covering(part.offered for part in target.slices), title="requests per second")
    note = "What became of the requests that were due in each second."
    return card("Over time", note, stacked_chart(groups, y, series))


def _kind_series(kind: Kind, slices: tuple[Slice, ...]) -> Series:
    values = [(float(part.second), float(part.counts.get(kind.value, 0))) for part in slices]
    return Series(name=kind.value, style=kind.value, values=values)


def _percentiles(target: TargetResult) -> str:
    summary = target.summary
    series = [
        _curve(name, style, latency)
        for name, style, latency in (
            ("successes", "good", summary.latency),
            ("refusals", "refused", summary.refusals),
            (f"as {CLOSED_LOOP_USERS} closed-loop users would report", "contrast", summary.closed_loop),
        )
        if latency.count
    ]
    labels = tuple((_nines(quantile), f"{quantile:g} %") for quantile in (0.0, 50.0, 90.0, 99.0, 99.9, 99.99))
    x = Axis(scale=Scale(low=0.0, high=_nines(99.99)), title="percentile", labels=labels)
    scale = Scale.decades(value for one in series for _, value in one.values)
    marks = tuple((value, format_duration(value)) for value in scale.ticks())
    note = "Latency from the instant at which the schedule wanted the request sent."
    return card("Latency", note, line_chart(x, Axis(scale=scale, title="latency", labels=marks), series))


def _curve(name: str, style: str, latency: Distribution) -> Series:
    points = [(_nines(quantile), value) for quantile, value in zip(QUANTILES, latency.values, strict=True)]
    return Series(name=name, style=style, values=[(at, value) for at, value in points if value > 0])


def _nines(quantile: float) -> float:
    """Spreads the tail out: 90, 99 and 99.9 % lie at equal distances."""
    return -math.log10(1 - min(quantile, 99.99) / 100)


def _latencies(target: TargetResult) -> str:
    summary = target.summary
    rows = (
        ("successes", summary.latency),
        ("refusals", summary.refusals),
        (f"as {CLOSED_LOOP_USERS} closed-loop users would report", summary.closed_loop),
    )
    return table(_HEADINGS, [_latency_row(name, latency) for name, latency in rows if latency.count])


def _latency_row(name: str, latency: Distribution) -> list[tuple[str, str]]:
    figures = (format_duration(latency.at(quantile)) for quantile in _SHOWN)
    return [(text, "") for text in (name, f"{latency.count:,}", *figures)]


def _outcomes(result: LoadResult) -> str:
    targets = (result.total,) if len(result.targets) == 1 else (*result.targets, result.total)
    headings = ("requests", "offered", *(kind.value for kind in KINDS), "errors")
    return table(headings, [_outcome_row(target.label, target.summary) for target in targets])


def _outcome_row(label: str, summary: Summary) -> list[tuple[str, str]]:
    errors = ", ".join(f"{number:,} {words}" for words, number in summary.errors.items())
    counts = (f"{summary.count(kind):,}" for kind in KINDS)
    return [(text, "") for text in (label, f"{summary.offered:,}", *counts, errors)]


def _generator(result: LoadResult) -> str:
    generator = result.generator
    return (
        '<p class="soft">The generator sent half of the requests within'
        f" {format_duration(generator.lateness.p50)} of their instant and 99 % within"
        f" {format_duration(generator.lateness.p99)}, on up to {generator.peak_connections:,} connections at a time,"
        f" with {generator.cpu:.0%} of a core.</p>"
        '<p class="soft">The closed-loop figures are what a tool would have reported of this very run whose users'
        " each wait for an answer before they send again: nobody is there to be counted while the server stalls,"
        " and fast refusals count as fast answers.</p>"
    )
