"""What a scope or an environ tells of a request, in the words of the semantic conventions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from perfguard.targets import TARGET, UNMATCHED
from perfguard.telemetry import names
from perfguard.telemetry._query import redacted

Attributes = dict[str, Any]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_HOST, _AGENT = b"host", b"user-agent"


class Described(NamedTuple):
    """A request before it is served.

    Attributes:
        attributes: Those of its span that are known by now.
        carrier: Its headers by name, in lower case, where one of them carries a context; else `None`.
        request: The scope or environ, which routers add to.
        asgi: Whether it is a scope.
    """

    attributes: Attributes
    carrier: dict[str, str] | None
    request: Mapping[str, Any]
    asgi: bool


class Protocol(NamedTuple):
    """How requests of a protocol are read.

    Attributes:
        described: Tells what is known of a request.
        kind: Tells its method, scheme, route and version alone, for those that are refused.
    """

    described: Callable[[Mapping[str, Any], Vocabulary], Described]
    kind: Callable[[Mapping[str, Any], Vocabulary], tuple[str, str, str | None, str]]


class Vocabulary(NamedTuple):
    """What is looked for in requests.

    Attributes:
        methods: The methods that are named.
        fields: The headers that carry a context, in lower case.
        wanted: All headers that are read, as ASGI has them.
    """

    methods: frozenset[str]
    fields: frozenset[str]
    wanted: frozenset[bytes]


def vocabulary(methods: frozenset[str], fields: set[str]) -> Vocabulary:
    """Return what is looked for, given the methods that are named and the propagator's headers."""
    lower = frozenset(field.lower() for field in fields)
    return Vocabulary(methods, lower, frozenset(field.encode() for field in lower) | {_HOST, _AGENT})


def scope_described(scope: Mapping[str, Any], words: Vocabulary) -> Described:
    """Return what an ASGI scope tells; a WebSocket's handshake is a GET (RFC 6455, 4.1)."""
    wanted = words.wanted
    found = {name: value for name, value in scope.get("headers") or () if name in wanted}
    attributes: Attributes = {names.SCHEME: scope.get("scheme") or "http", names.PATH: scope["path"]}
    _add_method(attributes, scope.get("method", "GET"), words.methods)
    _add_route(attributes, scope)
    query = scope.get("query_string")
    if query:
        attributes[names.QUERY] = redacted(query.decode("latin-1"))
    client, version = scope.get("client"), scope.get("http_version")
    if client:
        attributes[names.CLIENT_ADDRESS] = client[0]
    if version:
        attributes[names.PROTOCOL_VERSION] = version
    host, agent = found.pop(_HOST, None), found.pop(_AGENT, None)
    if agent is not None:
        attributes[names.USER_AGENT] = agent.decode("latin-1")
    _add_server(attributes, None if host is None else host.decode("latin-1"), scope.get("server"))
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.items()}
    return Described(attributes, carrier or None, scope, asgi=True)


def environ_described(environ: Mapping[str, Any], words: Vocabulary) -> Described:
    """Return what a WSGI environ (PEP 3333) tells."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    attributes: Attributes = {names.SCHEME: environ.get("wsgi.url_scheme") or "http", names.PATH: _text(path)}
    _add_method(attributes, environ.get("REQUEST_METHOD", "GET"), words.methods)
    _add_route(attributes, environ)
    for name, key in _COPIED:
        value = environ.get(key)
        if value:
            attributes[name] = value
    query, version = environ.get("QUERY_STRING"), environ.get("SERVER_PROTOCOL", "")
    if query:
        attributes[names.QUERY] = redacted(query)
    if version.startswith("HTTP/"):
        attributes[names.PROTOCOL_VERSION] = version[5:]
    server = environ.get("SERVER_NAME"), environ.get("SERVER_PORT")
    _add_server(attributes, environ.get("HTTP_HOST"), server if server[0] else None)
    keys = ((field, "HTTP_" + field.upper().replace("-", "_")) for field in words.fields)
    carrier = {field: environ[key] for field, key in keys if key in environ}
    return Described(attributes, carrier or None, environ, asgi=False)


def scope_kind(scope: Mapping[str, Any], words: Vocabulary) -> tuple[str, str, str | None, str]:
    """Return the method, scheme, route and version of an ASGI scope."""
    method = scope.get("method", "GET")
    scheme, version = scope.get("scheme") or "http", scope.get("http_version") or ""
    return method if method in words.methods else names.OTHER, scheme, _route(scope), version


def environ_kind(environ: Mapping[str, Any], words: Vocabulary) -> tuple[str, str, str | None, str]:
    """Return the method, scheme, route and version of a WSGI environ."""
    method = environ.get("REQUEST_METHOD", "GET")
    scheme, version = environ.get("wsgi.url_scheme") or "http", environ.get("SERVER_PROTOCOL", "")
    return method if method in words.methods else names.OTHER, scheme, _route(environ), version.removeprefix("HTTP/")


ASGI = Protocol(scope_described, scope_kind)
WSGI = Protocol(environ_described, environ_kind)

_COPIED = (names.CLIENT_ADDRESS, "REMOTE_ADDR"), (names.USER_AGENT, "HTTP_USER_AGENT")


def _add_method(attributes: Attributes, method: str, known: frozenset[str]) -> None:
    if method in known:
        attributes[names.METHOD] = method
    else:
        attributes[names.METHOD] = names.OTHER
        attributes[names.METHOD_ORIGINAL] = method


def _add_route(attributes: Attributes, request: Mapping[str, Any]) -> None:
    route = _route(request)
    if route is not None:
        attributes[names.ROUTE] = route


def _route(request: Mapping[str, Any]) -> str | None:
    target = request.get(TARGET)
    return None if target is None or target is UNMATCHED else target.key


def _add_server(attributes: Attributes, host: str | None, server: Any) -> None:
    """Add the address and the port by the `Host` header, else by the socket's end."""
    if host:
        address, port = _parted(host)
        attributes[names.SERVER_ADDRESS] = address
        port = port or _PORTS.get(attributes[names.SCHEME])
    elif server:
        attributes[names.SERVER_ADDRESS], port = server[0], _number(server[1])
    else:
        return
    if port is not None:
        attributes[names.SERVER_PORT] = port


@lru_cache(maxsize=256)
def _parted(host: str) -> tuple[str, int | None]:
    """Return the name and the port of a `Host` (RFC 9110, 7.2); an IPv6 address stands in brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        return host.strip("[]"), None
    return name.strip("[]"), _number(port)


def _number(port: Any) -> int | None:
    text = str(port)
    return int(text) if len(text) <= 5 and text.isascii() and text.isdigit() else None


def _text(path: str) -> str:
    # PEP 3333 has it as bytes in disguise.
    return path if path.isascii() else path.encode("latin-1", "replace").decode(errors="replace")


def route_found(described: Described) -> str | None:
    """Return the template of the route that the application's router found; `None` if nothing tells.

    Starlette and FastAPI leave the route in the scope. Below a mount its path is not
    whole, and the mount's may be one of many.
    """
    if not described.asgi:
        return None
    path = getattr(described.request.get("route"), "path", None)
    whole = not described.request.get("root_path") or "app_root_path" not in described.request
    return path if isinstance(path, str) and whole else None
