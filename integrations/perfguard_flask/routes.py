"""Which URL rule a request will take, known before the application runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, cast

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Map, MapAdapter, Rule
from werkzeug.wsgi import get_host

from perfguard.marks import Marks, marks_of
from perfguard.targets import UNMATCHED, Target, target_of

Environ = dict[str, Any]


class RouteTable:
    """Finds the target of a request by an application's URL rules.

    It is a map of the same rules, matched by Werkzeug, in which converters of the
    application's own convert nothing: they may ask a database, which must not happen
    before a request is admitted. What was found for a path is kept, for a few hundred
    paths: a match costs 5 us, and clients that were refused come back for the same.

    Args:
        app: The application.
    """

    __slots__ = ("_adapter", "_app", "_known", "_map")

    _app: Flask
    _map: Map
    _adapter: MapAdapter | None
    _known: Callable[[str, str], Target] | None

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._map = _copied(app)
        by_host = self._map.host_matching or app.subdomain_matching
        # Without hosts and subdomains, all requests are bound alike.
        self._adapter = adapter = None if by_host else self._map.bind("localhost")
        self._known = None if adapter is None else lru_cache(maxsize=512)(partial(_match, adapter))

    def find(self, environ: Environ) -> Target:
        """Return the target of a request."""
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if self._known is not None and "HTTP_UPGRADE" not in environ:
            return self._known(path, method)
        adapter = self._bound(environ) if self._adapter is None else self._adapter
        return _match(adapter, path, method, websocket=_is_websocket(environ))

    def targets(self) -> Iterator[tuple[Target, list[str]]]:
        """Yield the target of each rule with its methods; none stand for all."""
        for rule in self._map.iter_rules():
            yield rule.endpoint, sorted(rule.methods or ())

    def _bound(self, environ: Environ) -> MapAdapter:
        host = get_host(environ).lower()
        if self._map.host_matching:
            return self._map.bind(host)
        standard_port = ":443" if environ.get("wsgi.url_scheme") == "https" else ":80"
        server = (self._app.config["SERVER_NAME"] or host).lower().removesuffix(standard_port)
        # Of another server, Werkzeug finds no rule either.
        inside = host == server or host.endswith("." + server)
        return self._map.bind(server, subdomain=host[: -len(server)].rstrip(".") if inside else "<invalid>")


def _copied(app: Flask) -> Map:
    theirs = app.url_map
    own = Map.default_converters.values()
    return Map(
        [each for rule in theirs.iter_rules() for each in _rules(app, rule)],
        default_subdomain=theirs.default_subdomain,
        strict_slashes=theirs.strict_slashes,
        merge_slashes=theirs.merge_slashes,
        redirect_defaults=False,
        converters={name: each if each in own else _idle(each) for name, each in theirs.converters.items()},
        host_matching=theirs.host_matching,
    )


def _rules(app: Flask, rule: Rule) -> Iterator[Rule]:
    """Yield what stands for a rule: one, or where methods of its class of views are marked, one for each."""
    key = (rule.host or rule.subdomain or "") + rule.rule
    for methods, marks in _marked(app.view_functions.get(rule.endpoint), rule):
        yield Rule(
            rule.rule,
            defaults=rule.defaults,
            subdomain=rule.subdomain,
            methods=methods,
            build_only=rule.build_only,
            endpoint=target_of(key, marks.over(_outer_marks(app, rule))),
            strict_slashes=rule.strict_slashes,
            merge_slashes=rule.merge_slashes,
            host=rule.host,
            websocket=rule.websocket,
        )


def _marked(view: Any, rule: Rule) -> Iterator[tuple[Iterable[str] | None, Marks]]:
    cls = getattr(view, "view_class", None)
    marks = marks_of(view).over(marks_of(cls))
    # HEAD comes before GET, since Werkzeug lets whatever takes GET take HEAD as well.
    handlers = {method: _handler(cls, method) for method in sorted(rule.methods or (), reverse=True)}
    if not any(marks_of(handler) != Marks() for handler in handlers.values()):
        yield rule.methods, marks
        return
    for method, handler in handlers.items():
        yield [method], marks_of(handler).over(marks)


def _handler(cls: Any, method: str) -> Any:
    """Return what serves a method in Flask's `MethodView`."""
    handler = getattr(cls, method.lower(), None)
    return getattr(cls, "get", None) if handler is None and method == "HEAD" else handler


def _outer_marks(app: Flask, rule: Rule) -> Marks:
    """Return what is said of the blueprints around a rule, innermost first, and of the application."""
    marks = Marks()
    name = str(rule.endpoint).rpartition(".")[0]
    while name:
        marks = marks.over(marks_of(app.blueprints.get(name)))
        name = name.rpartition(".")[0]
    return marks.over(marks_of(app))


def _idle(converter: type[BaseConverter]) -> type[BaseConverter]:
    """Return a converter that matches what the application's own does, and converts nothing."""
    return type(converter.__name__, (converter,), {"to_python": lambda _, value: value})


def _match(adapter: MapAdapter, path: str, method: str, *, websocket: bool = False) -> Target:
    if not path.isascii():
        # Servers give the bytes of a path as latin-1 (PEP 3333); Werkzeug reads them as UTF-8.
        path = path.encode("latin-1").decode(errors="replace")
    try:
        rule, _ = adapter.match(path, method, return_rule=True, websocket=websocket)
    except HTTPException:
        return UNMATCHED
    return cast("Target", rule.endpoint)


def _is_websocket(environ: Environ) -> bool:
    if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
        return False
    return "upgrade" in [each.strip(" \t") for each in environ.get("HTTP_CONNECTION", "").lower().split(",")]
