"""Which view a request will take, known before Django resolves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver
from django.utils import translation

from perfguard.marks import Marks, marks_of
from perfguard.targets import UNMATCHED, Matcher, Target, target_of
from perfguard_django.options import Exempt
from perfguard_django.patterns import routes

_EXEMPT = Target(key="_EXEMPT", exempt=True)

# Beyond it, paths are resolved each time; a pattern without parameters may match any number of paths.
_MOST_PATHS = 1024


class RouteTable:
    """Finds the target of a request by the project's URLconf.

    Paths of routes without parameters are remembered. Others are found by one regular
    expression of all routes, and resolved as Django does it where that cannot tell.

    Args:
        exempt: Paths that pass untouched.
        fault: Is told of a URLconf that cannot be read.
    """

    __slots__ = ("_exempt", "_fault", "_known", "_matchers")

    _exempt: Exempt
    _fault: Callable[[str, BaseException], object]
    _known: dict[str, Target]
    _matchers: tuple[URLResolver, Matcher[Target | None] | None] | None

    def __init__(self, exempt: Exempt, fault: Callable[[str, BaseException], object]) -> None:
        self._exempt = exempt
        self._fault = fault
        self._known = dict.fromkeys(exempt.paths, _EXEMPT)
        self._matchers = None

    def find(self, path: str, urlconf: Any = None) -> Target:
        """Return the target of a path.

        Args:
            path: The request's `path_info`.
            urlconf: The request's own URLconf, `None` for the project's.
        """
        if urlconf is None:
            return self._known.get(path) or self._found(path)
        return _EXEMPT if path in self._exempt else self._resolved(path, urlconf)

    def _found(self, path: str) -> Target:
        if path.startswith(self._exempt.prefixes):
            return _EXEMPT
        matcher = self._matcher()
        if matcher is not None and path.startswith("/"):
            target = matcher.find(path[1:], UNMATCHED)
            if target is not None:
                return target
        return self._resolved(path, None)

    def _matcher(self) -> Matcher[Target | None] | None:
        try:
            resolver = get_resolver()
            if self._matchers is None or self._matchers[0] is not resolver:
                # Should it fail it is not tried again, and Django resolves.
                self._matchers = (resolver, None)
                self._matchers = (resolver, _matcher_of(resolver))
            return self._matchers[1]
        except Exception as error:  # noqa: BLE001 - Django meets it again, and reports it.
            self._fault("the URLconf", error)
            return None

    def _resolved(self, path: str, urlconf: Any) -> Target:
        try:
            match = _resolve(path, urlconf)
        except Resolver404:
            return UNMATCHED
        except Exception as error:  # noqa: BLE001 - Django meets it again, and reports it.
            self._fault("the URLconf", error)
            return UNMATCHED
        target = _target(match.route or "", match.func)
        literal = not match.captured_kwargs and not match.args  # type: ignore[attr-defined]
        if literal and urlconf is None and len(self._known) < _MOST_PATHS:
            self._known[path] = target
        return target


def _matcher_of(resolver: URLResolver) -> Matcher[Target | None] | None:
    """Return what finds the routes with parameters; `None` where only Django can."""
    entries: list[tuple[str, Target | None]] = []
    for each in routes(resolver.url_patterns):
        if each.expression is None:
            return None
        # Of those without parameters the paths are remembered, and of those that are not
        # certain Django has the last word.
        settled = each.certain and "<" in each.template
        entries.append((each.expression, _target(each.template, each.view) if settled else None))
    try:
        return Matcher(entries)
    except re.error:
        return None


def _resolve(path: str, urlconf: Any) -> ResolverMatch:
    resolver = get_resolver(urlconf)
    if not is_language_prefix_patterns_used(urlconf or settings.ROOT_URLCONF)[0]:
        return resolver.resolve(path)
    # As LocaleMiddleware will, for which it is too early.
    with translation.override(translation.get_language_from_path(path) or settings.LANGUAGE_CODE):
        return resolver.resolve(path)


def _target(route: str, view: Any) -> Target:
    return target_of(f"/{route}", view_marks(view))


def view_marks(view: Any) -> Marks:
    """Return what is said of a view; what is said of its function outranks what is said of its class."""
    # The view sets of Django REST framework call it `cls`.
    made_of = getattr(view, "view_class", None) or getattr(view, "cls", None)
    return marks_of(view).over(marks_of(made_of))


def targets(exempt: Exempt) -> Iterator[Target]:
    """Yield the target of every route of the project, in order."""
    for each in routes(get_resolver().url_patterns):
        target = _target(each.template, each.view)
        yield replace(target, exempt=True) if target.key in exempt else target
