"""Where a target's requests go, resolved once, and the bytes they are made of."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from perfguard.cli.load.plan import IDEMPOTENT, Connections, Target, split_url
from perfguard.errors import ConfigurationError, PerfguardError

Address = tuple[str, int]

_OPT_IN = "; another host, if you may load it, needs --allow-remote"
_CONNECT_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """All that a connection needs to know of a target.

    Args:
        address: A numeric host, so that no name is looked up during a run, and a port.
        request: The bytes of every request.
        repeatable: Whether a request that may have reached the server can be sent again.
    """

    address: Address
    request: bytes
    repeatable: bool


class RemoteHostError(ConfigurationError):
    """The host is not this machine, and nobody said that it may be loaded."""


class UnreachableError(PerfguardError):
    """No server accepts connections at the address of a target."""


def resolve(target: Target, connections: Connections, *, allow_remote: bool) -> Route:
    """The route of a target.

    Raises:
        RemoteHostError: A host that does not resolve to loopback alone, without `allow_remote`.
        ConfigurationError: A host that does not resolve.
    """
    addresses = _addresses(target.url, allow_remote=allow_remote)
    if not allow_remote and not all(ipaddress.ip_address(host).is_loopback for host, _ in addresses):
        raise RemoteHostError("url", target.url, f"must be on this machine (loopback){_OPT_IN}")
    return Route(
        address=_first_open(addresses),
        request=_request(target, connections),
        repeatable=target.method in IDEMPOTENT,
    )


def check_reachable(target: Target, route: Route) -> None:
    """Try a connection.

    Raises:
        UnreachableError: Nothing accepts connections there.
    """
    error = _connect_error(route.address)
    if error is None:
        return
    refused = error.errno == errno.ECONNREFUSED
    reason = "connection refused" if refused else f"no connection ({error.strerror or error})"
    raise UnreachableError(f"{target.url}: {reason}; is the server running?")


def _connect_error(address: Address) -> OSError | None:
    try:
        with socket.create_connection(address, timeout=_CONNECT_TIMEOUT):
            return None
    except OSError as error:
        return error


def _addresses(url: str, *, allow_remote: bool) -> list[Address]:
    parts = split_url(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        remedy = f"must have a host that resolves ({error.strerror})" + ("" if allow_remote else _OPT_IN)
        raise ConfigurationError("url", url, remedy) from error
    return list(dict.fromkeys((str(entry[4][0]), int(entry[4][1])) for entry in found))


def _first_open(addresses: list[Address]) -> Address:
    """`localhost` is both ::1 and 127.0.0.1 on most machines, and most servers listen on one of them."""
    if len(addresses) == 1:
        return addresses[0]
    return next((address for address in addresses if _connect_error(address) is None), addresses[0])


def _request(target: Target, connections: Connections) -> bytes:
    parts = split_url(target.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc
    fields = {"host": host, "user-agent": "perfguard-load", "accept": "*/*"}
    fields |= {name.lower(): value for name, value in target.headers}
    fields |= {"content-length": str(len(target.body))} if target.body else {}
    fields |= {"connection": "close"} if connections is Connections.NEW else {}
    lines = [f"{target.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + target.body
