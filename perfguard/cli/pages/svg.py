"""Charts as inline SVG: no script, no font, nothing that must be fetched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640.0
HEIGHT = 260.0

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 14.0, 40.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS = 5
_GROUP_SHARE = 0.68


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps values to the part of an axis from 0 to 1.

    Args:
        low: The value at 0.
        high: The value at 1, above `low`.
        log: Whether by orders of magnitude; `low` is then above 0.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def covering(cls, values: Iterable[float]) -> Scale:
        """A linear scale from 0 to a round number that no value passes."""
        most = max(values, default=0.0) or 1.0
        step = _round_step(most / _TICKS)
        return cls(low=0.0, high=step * math.ceil(most / step - 1e-9))

    @classmethod
    def decades(cls, values: Iterable[float]) -> Scale:
        """A logarithmic scale of whole orders of magnitude around the values above 0."""
        positive = [value for value in values if value > 0] or [1.0]
        low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
        return cls(low=10.0**low, high=10.0 ** max(high, low + 1), log=True)

    def at(self, value: float) -> float:
        """Where a value lies; what is outside lies on the edge."""
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(max(part, 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if self.log:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = _round_step((self.high - self.low) / _TICKS)
        return [self.low + step * number for number in range(round((self.high - self.low) / step) + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line, or one bar of each group.

    Args:
        name: In the legend.
        style: The class in the style sheet, which gives the colour.
        values: For a line the points; for bars one value for each group, at any x.
        zero: What is written above a bar of no height.
    """

    name: str
    style: str
    values: Sequence[tuple[float, float]]
    zero: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """How an axis is drawn.

    Args:
        scale: From values to places.
        title: What it shows, with the unit.
        labels: Texts for certain values; by default the scale's ticks as numbers.
    """

    scale: Scale
    title: str
    labels: tuple[tuple[float, str], ...] = ()

    def marks(self) -> tuple[tuple[float, str], ...]:
        """The labelled values."""
        return self.labels or tuple((value, f"{value:,.6g}") for value in self.scale.ticks())


def line_chart(
    x: Axis,
    y: Axis,
    series: Sequence[Series],
    *,
    reference: tuple[str, float] | None = None,
    shaded: tuple[str, float] | None = None,
) -> str:
    """Lines over an axis.

    Args:
        x: The horizontal axis.
        y: The vertical axis.
        series: The lines.
        reference: A name and a value for a dashed horizontal line.
        shaded: A name for the stretch from the left edge to a value of the horizontal axis.
    """
    lines = [_line(x, y, one) for one in series]
    return _chart([*_shade(x, shaded), _grid(x, y, vertical=False), *_reference(y, reference), *lines], series)


def bar_chart(
    groups: Sequence[str], y: Axis, series: Sequence[Series], *, reference: tuple[str, float] | None = None
) -> str:
    """Groups of bars side by side, with the value above each.

    Args:
        groups: The names below the groups.
        y: The vertical axis.
        series: One bar of each group each.
        reference: A name and a value for a dashed horizontal line.
    """
    x = _group_axis(groups)
    bars = [_bars(y, one, place=place, of=len(series), groups=len(groups)) for place, one in enumerate(series)]
    return _chart([_grid(x, y, vertical=False), *bars, *_reference(y, reference)], series)


def stacked_chart(groups: Sequence[str], y: Axis, series: Sequence[Series]) -> str:
    """Bars of parts on top of one another.

    Args:
        groups: The names below the bars; an empty one is not drawn.
        y: The vertical axis.
        series: One part of each bar each, from the bottom.
    """
    x = _group_axis(groups)
    parts = []
    floor = [0.0] * len(groups)
    for one in series:
        parts.append(_stack(y, one, floor))
        floor = [low + value for low, (_, value) in zip(floor, one.values, strict=True)]
    return _chart([_grid(x, y, vertical=False), *parts], series)


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element; attributes are escaped, the content is not. `class_` stands for `class`, `_` for a dash."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _text(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """Three digits, or all before the point; never an exponent."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}" if value >= 0.01 else f"{value:.2f}"


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))


def _x(part: float) -> float:
    return _LEFT + part * (WIDTH - _LEFT - _RIGHT)


def _y(part: float) -> float:
    return HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM)


def _chart(parts: Sequence[str], series: Sequence[Series]) -> str:
    svg = tag("svg", "".join(parts), viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}", role="img", class_="chart")
    items = "".join(tag("li", f'<i class="{one.style}"></i>{escape(one.name)}') for one in series)
    return svg + (tag("ul", items, class_="legend") if len(series) > 1 else "")


def _grid(x: Axis, y: Axis, *, vertical: bool) -> str:
    parts = []
    for value, label in y.marks():
        at = _y(y.scale.at(value))
        parts.append(tag("line", x1=_x(0.0), x2=_x(1.0), y1=at, y2=at, class_="grid"))
        parts.append(tag("text", escape(label), x=_LEFT - 8, y=at + 4, class_="tick end"))
    for value, label in x.marks():
        at = _x(x.scale.at(value))
        if vertical:
            parts.append(tag("line", x1=at, x2=at, y1=_y(0.0), y2=_y(1.0), class_="grid"))
        parts.append(tag("text", escape(label), x=at, y=_y(0.0) + 17, class_="tick mid"))
    parts.append(tag("text", escape(x.title), x=_x(0.5), y=HEIGHT - 5, class_="axis mid"))
    turned = f"rotate(-90 12 {_y(0.5):.0f})"
    parts.append(tag("text", escape(y.title), x=12.0, y=_y(0.5), class_="axis mid", transform=turned))
    return "".join(parts)


def _group_axis(groups: Sequence[str]) -> Axis:
    labels = tuple((place + 0.5, name) for place, name in enumerate(groups) if name)
    return Axis(scale=Scale(low=0.0, high=float(len(groups))), title="", labels=labels)


def _reference(y: Axis, reference: tuple[str, float] | None) -> list[str]:
    if reference is None:
        return []
    name, value = reference
    at = _y(y.scale.at(value))
    line = tag("line", x1=_x(0.0), x2=_x(1.0), y1=at, y2=at, class_="reference")
    return [line, tag("text", escape(name), x=_x(1.0), y=at - 5, class_="tick end")]


def _shade(x: Axis, shaded: tuple[str, float] | None) -> list[str]:
    if shaded is None:
        return []
    name, end = shaded
    width = _x(x.scale.at(end)) - _x(0.0)
    area = tag("rect", x=_x(0.0), y=_y(1.0), width=width, height=_y(0.0) - _y(1.0), class_="shade")
    return [area, tag("text", escape(name), x=_x(0.0) + width / 2, y=_y(1.0) + 14, class_="tick mid")]


def _line(x: Axis, y: Axis, series: Series) -> str:
    points = " ".join(f"{_x(x.scale.at(a)):.1f},{_y(y.scale.at(b)):.1f}" for a, b in series.values)
    return tag("polyline", tag("title", escape(series.name)), points=points, class_=f"line {series.style}")


def _bars(y: Axis, series: Series, *, place: int, of: int, groups: int) -> str:
    width = _GROUP_SHARE / of / groups
    parts = []
    for number, (_, value) in enumerate(series.values):
        left = (number + (1 - _GROUP_SHARE) / 2) / groups + place * width
        top = _y(y.scale.at(value))
        hint = tag("title", escape(f"{series.name}: {_number(value)}"))
        size = {"width": (width * 0.92) * (WIDTH - _LEFT - _RIGHT), "height": _y(0.0) - top}
        parts.append(tag("rect", hint, x=_x(left), y=top, rx=2, class_=series.style, **size))
        label = _number(value) if value else series.zero
        parts.append(tag("text", label, x=_x(left + width * 0.46), y=top - 4, class_="value mid"))
    return "".join(parts)


def _stack(y: Axis, series: Series, floor: Sequence[float]) -> str:
    groups = len(floor)
    share = _GROUP_SHARE if groups < 20 else 1.0
    parts = []
    for number, ((_, value), low) in enumerate(zip(series.values, floor, strict=True)):
        if value <= 0:
            continue
        top, bottom = _y(y.scale.at(low + value)), _y(y.scale.at(low))
        hint = tag("title", escape(f"{series.name}: {_number(value)}"))
        size = {"width": share / groups * (WIDTH - _LEFT - _RIGHT), "height": bottom - top}
        left = _x((number + (1 - share) / 2) / groups)
        parts.append(tag("rect", hint, x=left, y=top, class_=series.style, **size))
    return "".join(parts)
