"""What WSGI servers tell in the environ of a request's arrival and of its client."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

from perfguard._arrival import TCP_INFO, socket_age

Environ = dict[str, Any]
_T = TypeVar("_T")

_LONGEST_AGE = 60.0

# linux/tcp_states.h: any other state means that an end of the connection was closed.
_ESTABLISHED = 1

# What servers call the peer of a Unix socket, which has no address: Werkzeug, waitress.
_NAMELESS = ("<local>", "localhost")

_STAMPS = (("x-request-start", "HTTP_X_REQUEST_START"), ("x-queue-start", "HTTP_X_QUEUE_START"))


def age_of(environ: Environ) -> float:
    """Return the seconds for which a request stood before its application was called, 0 where nothing tells.

    gunicorn and Werkzeug give the client's socket, uWSGI its descriptor, so that the
    kernel tells; mod_wsgi in daemon mode stamps the instant at which it queued the request.
    """
    sock = socket_of(environ)
    if sock is not None:
        return socket_age(sock)
    if "uwsgi.version" in environ:
        return _in_uwsgi(socket_age)
    queued = environ.get("mod_wsgi.queue_start")
    return 0.0 if queued is None else _since(queued)


def socket_of(environ: Environ) -> Any:
    """Return the client's socket, `None` where the server hides it."""
    sock = environ.get("gunicorn.socket")
    if sock is None:
        sock = environ.get("werkzeug.socket")
    # So does gunicorn's `gevent_pywsgi` worker call it.
    return environ.get("gunicorn.sock") if sock is None else sock


def has_left(environ: Environ) -> bool:
    """Say whether the client is known to have closed its connection, or its half of it."""
    gone = environ.get("waitress.client_disconnected")
    if gone is not None:
        return bool(gone())
    sock = socket_of(environ)
    if sock is not None:
        return _is_closed(sock)
    return "uwsgi.version" in environ and _in_uwsgi(_is_closed)


def scope_of(environ: Environ) -> dict[str, Any]:
    """Return the peer and the headers that a proxy's stamp may be in, as an ASGI scope has them.

    Servers join a header that comes twice by commas (RFC 3875, 4.1.18); here it is two again.
    """
    headers = [
        (name.encode(), value.encode("latin-1", "replace"))
        for name, key in _STAMPS
        if key in environ
        for value in environ[key].split(",", 1)
    ]
    peer = environ.get("REMOTE_ADDR")
    return {"client": (peer, 0) if peer and peer not in _NAMELESS else None, "headers": headers}


def _is_closed(sock: Any) -> bool:
    """Say whether the other end was closed; never waits and takes nothing from the stream."""
    try:
        if TCP_INFO is not None:
            state: int = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 1)[0]
            return state != _ESTABLISHED
    except (OSError, IndexError):
        # No TCP: a Unix socket tells by being at its end.
        pass
    try:
        # Asked first, since gevent's sockets wait for data whatever the flags say.
        readable = bool(select.select([sock], [], [], 0)[0])
        return readable and not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except ConnectionError:
        return True
    except (OSError, TypeError, ValueError):
        # TLS takes no flags, and `select` no descriptor of 1024 and more: it counts as there.
        return False


def _since(stamp: str) -> float:
    """Return the seconds since an instant in microseconds of the epoch."""
    age = time.time() - int(stamp) / 1e6
    return age if 0.0 < age < _LONGEST_AGE else 0.0


def _in_uwsgi(ask: Callable[[socket.socket], _T]) -> _T:
    """Ask the client's socket, which uWSGI gives as a descriptor of its own."""
    # The module exists inside of uWSGI alone.
    import uwsgi

    connection = socket.socket(fileno=uwsgi.connection_fd())
    try:
        return ask(connection)
    finally:
        connection.detach()
