"""The page of the demonstration."""

from __future__ import annotations

from html import escape

from perfguard.cli.demo.result import DemoResult, DemoRun, costs, verdict
from perfguard.cli.demo.scenario import DEADLINE, MIX
from perfguard.cli.durations import format_duration, name_duration
from perfguard.cli.load import Distribution, Kind
from perfguard.cli.pages.document import KINDS, card, document, table, tiles, warnings
from perfguard.cli.pages.svg import Axis, Scale, Series, bar_chart, line_chart, stacked_chart

_HEADINGS = (
    *("load", "guard", "planned/s", "offered/s", "goodput/s", "of capacity", "p50", "p99"),
    *("refused", "p99 of refusals", "late", "unanswered"),
)


def demo_page(result: DemoResult) -> str:
    """A self-contained HTML page of a demonstration."""
    over_time = "".join(_over_time(result, place) for place in range(len(result.pairs)))
    return document(
        "perfguard: the same service, without and with the guard",
        (
            _heading(result),
            warnings(result.warnings),
            _tiles(result),
            f'<div class="charts">{_goodput(result)}{_outcomes(result)}</div>',
            _table(result),
            f'<div class="charts">{_latency(result)}{over_time}</div>',
            _method(result),
        ),
    )


def _heading(result: DemoResult) -> str:
    return (
        "<h1>One service under too much load, without and with the guard</h1>"
        f"<p>{escape(verdict(result))}</p>"
        + "".join(f"<p>{escape(cost)}</p>" for cost in costs(result))
        + '<p class="soft">The guard is one line, <code>app.add_middleware(GuardMiddleware)</code>,'
        " with no settings.</p>"
    )


def _tiles(result: DemoResult) -> str:
    without, guarded = result.pairs[-1]
    at = f"at {guarded.level:g}x"
    return tiles(
        (
            ("capacity, requests per second", f"{result.capacity.rate:,.0f}"),
            (f"goodput {at}, without", f"{without.measured.goodput:,.0f}/s"),
            (f"goodput {at}, with the guard", f"{guarded.measured.goodput:,.0f}/s"),
            (f"p99 of the successes {at}, with the guard", format_duration(guarded.measured.latency.p99)),
            (f"p99 of the refusals {at}", format_duration(guarded.measured.refusals.p99)),
            (f"unanswered {at}, without", f"{without.measured.share(Kind.UNANSWERED):.0%}"),
        )
    )


def _goodput(result: DemoResult) -> str:
    series = [
        _bars(name, style, [pair[place].measured.goodput for pair in result.pairs])
        for place, (name, style) in enumerate((("without the guard", "without"), ("with the guard", "guarded")))
    ]
    values = [value for one in series for _, value in one.values]
    y = Axis(scale=Scale.covering([*values, 1.08 * result.capacity.rate]), title="good answers per second")
    chart = bar_chart(_levels(result), y, series, reference=("capacity", result.capacity.rate))
    note = f"Successes within the client's deadline of {name_duration(DEADLINE)}, by offered load."
    return card("Goodput", note, chart)


def _latency(result: DemoResult) -> str:
    series = [
        _tail("p99 without the guard", "without", [without.measured.latency for without, _ in result.pairs]),
        _tail("p99 with the guard", "guarded", [guarded.measured.latency for _, guarded in result.pairs]),
        _tail("p99 of refusals", "refused", [guarded.measured.refusals for _, guarded in result.pairs]),
    ]
    y = Axis(scale=Scale.covering(value for one in series for _, value in one.values), title="milliseconds")
    note = "The 99th percentile of the successes and of the refusals, from the instant the client wanted to send."
    return card("How long clients wait", note, bar_chart(_levels(result), y, series))


def _outcomes(result: DemoResult) -> str:
    groups = [f"{run.level:g}x {'guard' if run.guarded else 'none'}" for run in result.runs]
    series = [
        _bars(kind.value, kind.value, [100 * run.measured.share(kind) for run in result.runs])
        for kind in KINDS
        if any(run.measured.count(kind) for run in result.runs)
    ]
    y = Axis(scale=Scale(low=0.0, high=100.0), title="% of the requests")
    note = "Every request that was offered, with nothing left out: what its client got."
    return card("What became of the requests", note, stacked_chart(groups, y, series))


def _over_time(result: DemoResult, place: int) -> str:
    without, guarded = result.pairs[place]
    series = [_timeline("without the guard", "without", without), _timeline("with the guard", "guarded", guarded)]
    duration = guarded.result.plan.duration
    values = [value for one in series for _, value in one.values]
    x = Axis(scale=Scale(low=0.0, high=max(duration, 1.0)), title="seconds from the start of the load")
    y = Axis(scale=Scale.covering([*values, 1.08 * result.capacity.rate]), title="good answers per second")
    settle = ("not counted", duration - guarded.measured.duration)
    chart = line_chart(x, y, series, reference=("capacity", result.capacity.rate), shaded=settle)
    note = (
        f"{guarded.rate:,.0f} requests per second planned, {_offered(guarded):,.0f} offered (arrivals are random),"
        " by the second in which they were due."
    )
    return card(f"Over time, at {guarded.level:g}x", note, chart)


def _bars(name: str, style: str, values: list[float]) -> Series:
    return Series(name=name, style=style, values=[(float(place), value) for place, value in enumerate(values)])


def _tail(name: str, style: str, latencies: list[Distribution]) -> Series:
    values = [(float(place), latency.p99 * 1e3) for place, latency in enumerate(latencies)]
    return Series(name=name, style=style, values=values, zero="none")


def _timeline(name: str, style: str, run: DemoRun) -> Series:
    slices = run.result.total.slices
    # A second that the end of the run cuts short would look like a fall.
    whole = [part for part in slices if part.second + 1 <= run.result.plan.duration] or slices
    points = [(part.second + 0.5, float(part.goodput)) for part in whole]
    return Series(name=name, style=style, values=points)


def _offered(run: DemoRun) -> float:
    return run.measured.offered / run.measured.duration


def _levels(result: DemoResult) -> list[str]:
    return [f"{without.level:g}x capacity" for without, _ in result.pairs]


def _table(result: DemoResult) -> str:
    return table(_HEADINGS, [_row(result, run) for run in result.runs])


def _row(result: DemoResult, run: DemoRun) -> list[tuple[str, str]]:
    measured, style = run.measured, "guarded" if run.guarded else "without"
    return [
        (f"{run.level:g}x", ""),
        ("yes" if run.guarded else "no", style),
        (f"{run.rate:,.0f}", ""),
        (f"{_offered(run):,.0f}", ""),
        (f"{measured.goodput:,.0f}", style),
        (f"{result.share_of_capacity(run):.0%}", ""),
        *((_figure(measured.latency, quantile), "") for quantile in (50.0, 99.0)),
        (f"{measured.share(Kind.REFUSED):.1%}", ""),
        (_figure(measured.refusals, 99.0), ""),
        (f"{measured.share(Kind.LATE):.1%}", ""),
        (f"{measured.share(Kind.UNANSWERED):.1%}", ""),
    ]


def _figure(latency: Distribution, quantile: float) -> str:
    return format_duration(latency.at(quantile))


def _method(result: DemoResult) -> str:
    mix = ", ".join(f"{share:.0%} {name} (<code>{escape(path)}</code>)" for name, path, share in MIX)
    run, capacity = result.runs[-1], result.capacity.plan
    window = name_duration(capacity.duration / capacity.windows)
    return (
        f'<h2>How this was measured</h2><p class="soft">{escape(str(result.machine))}.'
        f" One uvicorn worker; {escape(str(result.cores))}.</p>"
        f'<p class="soft">A shop in FastAPI with SQLite: {mix}.'
        f" The capacity is what {capacity.users} users who each wait for their answer get from the service without the"
        f" guard: the median of {capacity.windows} windows of {window}.</p>"
        f'<p class="soft">Each run is {format_duration(run.result.plan.duration)} of Poisson arrivals on a fresh'
        f" server; the first {name_duration(run.result.plan.duration - run.measured.duration)} is not counted."
        " Arrivals never wait for the server (open loop), latency counts from the instant a request was due, and a"
        f" client leaves after {name_duration(run.result.plan.patience)}.</p>"
    )
