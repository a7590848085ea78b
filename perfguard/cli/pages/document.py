"""The frame of every page: a self-contained HTML document that follows the reader's light or dark setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from perfguard.cli.load import Kind
from perfguard.cli.pages.svg import tag

KINDS = (Kind.GOOD, Kind.REFUSED, Kind.LATE, Kind.ERROR, Kind.UNANSWERED, Kind.UNSENT)

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6878; --paper: #ffffff; --card: #f5f7fa; --rule: #dde3ea;
  --guarded: #0f7f8c; --without: #d9692a; --good: #2f9e63; --refused: #3f78d8; --late: #e0a21b; --error: #c8384a;
  --unanswered: #8d55b8; --unsent: #98a2ae; --contrast: #98a2ae; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #9dabba; --paper: #12171e; --card: #1b222c;
  --rule: #303a47; --guarded: #35b4c2; --without: #ee8b4e; --good: #4cc484; --refused: #6d9bee; --late: #efbb4a;
  --error: #ec6a79; --unanswered: #b384dc; --unsent: #76818e; --contrast: #76818e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 76rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0 0 .4rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 0 0 .2rem; font-size: 1.1rem; }
p { margin: .3rem 0; max-width: 48rem; } .soft { color: var(--soft); font-size: .92rem; }
.tiles, .charts { display: grid; gap: 1rem; margin: 1.5rem 0; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
.card { padding: 1rem 1.15rem; border-radius: .7rem; background: var(--card); }
.tile b { display: block; font-size: 1.75rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; margin: 1.5rem 0; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .42rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th { color: var(--soft); font-size: .85rem; font-weight: 600; }
th:first-child, td:first-child, .left { text-align: left; }
.chart { display: block; width: 100%; height: auto; margin-top: .5rem; }
.chart text { font-size: 11.5px; fill: var(--soft); font-family: inherit; }
.chart .value { fill: var(--ink); font-weight: 600; }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.grid { stroke: var(--rule); stroke-width: 1; }
.shade { fill: var(--rule); opacity: .55; }
.reference { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 5 4; }
.line { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .4rem 0 0; padding: 0; list-style: none;
  color: var(--soft); font-size: .88rem; }
.legend i { display: inline-block; width: .75rem; height: .75rem; margin-right: .4rem; border-radius: 2px; }
.warning { padding: .6rem 1rem; border-left: 4px solid var(--late); background: var(--card); }
"""

_COLOURS = ("guarded", "without", "contrast", *(kind.value for kind in KINDS))


def document(title: str, body: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: Of the window; plain text.
        body: Its parts, as HTML.
    """
    colours = "".join(
        f"rect.{name} {{ fill: var(--{name}); }} .line.{name} {{ stroke: var(--{name}); }}"
        f" i.{name} {{ background: var(--{name}); }} td.{name} {{ color: var(--{name}); font-weight: 600; }}\n"
        for name in _COLOURS
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{colours}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with what it is."""
    cards = "".join(
        tag("div", f"<b>{escape(value)}</b><span>{escape(name)}</span>", class_="card tile") for name, value in figures
    )
    return tag("div", cards, class_="tiles")


def card(title: str, note: str, content: str) -> str:
    """A chart with a title, and a sentence on how to read it."""
    return tag("section", f'<h2>{escape(title)}</h2><p class="soft">{escape(note)}</p>{content}', class_="card")


def table(headings: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]]) -> str:
    """A table; each cell is a text and a class (or none)."""
    head = "".join(tag("th", escape(heading) or "&nbsp;") for heading in headings)
    body = "".join(
        tag("tr", "".join(tag("td", escape(text) or "&nbsp;", class_=style) for text, style in row)) for row in rows
    )
    return tag("div", f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", class_="scroll")


def warnings(sentences: Iterable[str]) -> str:
    """What makes the figures doubtful."""
    return "".join(tag("p", escape(sentence), class_="warning") for sentence in sentences)
