"""A URLconf as one regular expression, since Django resolves by trying one pattern after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.urls import URLPattern, URLResolver
from django.urls.converters import IntConverter, PathConverter, SlugConverter, StringConverter, UUIDConverter
from django.urls.resolvers import RegexPattern, RoutePattern

from perfguard.targets import unnamed

_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")

# What they take by their expression they also convert.
_CERTAIN = (IntConverter, PathConverter, SlugConverter, StringConverter, UUIDConverter)


class Route(NamedTuple):
    """One route of a project.

    Attributes:
        template: Its template, as a `ResolverMatch` has it.
        view: What serves it.
        certain: Whether its expression alone tells that it takes a path.
        expression: The expression of whole paths below "/", `None` where Django alone can tell.
    """

    template: str
    view: Any
    certain: bool
    expression: str | None


def routes(
    patterns: Sequence[URLPattern | URLResolver], prefix: str = "", before: str | None = "", *, certain: bool = True
) -> Iterator[Route]:
    """Yield every route below some patterns, in the order in which Django tries them."""
    for each in patterns:
        part = str(each.pattern)
        # As Django joins the routes of what it has resolved.
        template = prefix + part.removeprefix("^") if prefix else part
        own = _expression(each.pattern, ends=isinstance(each, URLPattern))
        # Atomic, since Django does not try again how much an include's prefix takes.
        whole = None if before is None or own is None else f"{before}(?>{own})"
        converters = getattr(each.pattern, "converters", {})
        sure = certain and all(type(one) in _CERTAIN for one in converters.values())
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, template, whole, certain=sure)
        else:
            yield Route(template, each.callback, sure, whole)


def _expression(pattern: Any, *, ends: bool) -> str | None:
    """Return the expression of a pattern, without anchors and names; `None` where there may be none."""
    if type(pattern) not in (RoutePattern, RegexPattern):
        return None
    # A text that is translated is another one for each language.
    said = getattr(pattern, "_route" if type(pattern) is RoutePattern else "_regex", None)
    source: str = pattern.regex.pattern
    if not isinstance(said, str) or not source.startswith("^") or _BACK_REFERENCE.search(source):
        return None
    if type(pattern) is RegexPattern and "|" in source:
        # An alternative without an anchor of its own may be found anywhere.
        return None
    source = source.removeprefix("^")
    if ends and source.endswith("$") and not source.endswith("\\$"):
        source = source.removesuffix("$") + r"\Z"
    return unnamed(source)
