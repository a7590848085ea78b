"""Which view a request will take, known before Django resolves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

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


class _Read(NamedTuple):
    """What was read of a URLconf.

    Attributes:
        resolver: Django's own, another one once the URLconf was read anew or is another.
        matcher: Finds its routes with parameters; `None` where only Django can.
        known: Targets of paths without parameters.
    """

    resolver: URLResolver | None
    matcher: Matcher[Target | None] | None
    known: dict[str, Target]


class RouteTable:
    """Finds the target of a request by the project's URLconf.

    Paths of routes without parameters are remembered. Others are found by one regular
    expression of all routes, and resolved as Django does it where that cannot tell.

    Args:
        exempt: Paths that pass untouched.
        fault: Is told of a URLconf that cannot be read.
    """

    __slots__ = ("_exempt", "_fault", "_read")

    _exempt: Exempt
    _fault: Callable[[str, BaseException], object]
    _read: _Read

    def __init__(self, exempt: Exempt, fault: Callable[[str, BaseException], object]) -> None:
        self._exempt = exempt
        self._fault = fault
        self._read = _Read(None, None, {})

    def find(self, path: str, urlconf: Any = None) -> Target:
        """Return the target of a path.

        Args:
            path: The request's `path_info`.
            urlconf: The request's own URLconf, `None` for the project's.
        """
        if urlconf is None:
            read = self._current()
            return read.known.get(path) or self._found(path, read)
        return _EXEMPT if path in self._exempt else self._resolved(path, urlconf)

    def _found(self, path: str, read: _Read) -> Target:
        if path.startswith(self._exempt.prefixes):
            return _EXEMPT
        if read.matcher is not None and path.startswith("/"):
            target = read.matcher.find(path[1:], UNMATCHED)
            if target is not None:
                return target
        return self._resolved(path, None, read.known)

    def _current(self) -> _Read:
        """Return what was read of the project's URLconf, anew once Django has read it anew."""
        read = self._read
        try:
            resolver = get_resolver()
            if read.resolver is not resolver:
                # Should it fail it is not tried again, and Django resolves.
                self._read = read = _Read(resolver, None, dict.fromkeys(self._exempt.paths, _EXEMPT))
                self._read = read = read._replace(matcher=_matcher_of(resolver))
        except Exception as error:  # noqa: BLE001 - Django meets it again, and reports it.
            self._fault("the URLconf", error)
        return read

    def _resolved(self, path: str, urlconf: Any, known: dict[str, Target] | None = None) -> Target:
        try:
            match = _resolve(path, urlconf)
            target = _target(match.route or "", match.func)
        except Resolver404:
            return UNMATCHED
        except Exception as error:  # noqa: BLE001 - Django meets it again, and reports it.
            self._fault("the URLconf", error)
            return UNMATCHED
        literal = not match.captured_kwargs and not match.args  # type: ignore[attr-defined]
        if literal and known is not None and len(known) < _MOST_PATHS:
            known[path] = target
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
