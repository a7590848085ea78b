"""What WSGI servers tell in the environ of a request's arrival and of its client."""

from __future__ import annotations

import socket
import time
from typing import Any

from perfguard._arrival import socket_age

Environ = dict[str, Any]

_LONGEST_AGE = 60.0


def age_of(environ: Environ) -> float:
    """Return the seconds for which a request stood before its application was called, 0 where nothing tells.

    gunicorn and Werkzeug give the client's socket, uWSGI its descriptor, so that the
    kernel tells; mod_wsgi in daemon mode stamps the instant at which it queued the request.
    """
    sock = socket_of(environ)
    if sock is not None:
        return socket_age(sock)
    queued = environ.get("mod_wsgi.queue_start")
    if queued is not None:
        return _since(queued)
    return _age_in_uwsgi() if "uwsgi.version" in environ else 0.0


def socket_of(environ: Environ) -> Any:
    """Return the client's socket, `None` where the server hides it."""
    sock = environ.get("gunicorn.socket")
    return environ.get("werkzeug.socket") if sock is None else sock


def has_left(environ: Environ) -> bool:
    """Say whether the client is known to have closed its connection."""
    gone = environ.get("waitress.client_disconnected")
    if gone is not None:
        return bool(gone())
    sock = socket_of(environ)
    if sock is None:
        return False
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except ConnectionError:
        return True
    except (OSError, ValueError):
        # Nothing to read: it waits for the answer. (A TLS socket takes no flags.)
        return False


def scope_of(environ: Environ) -> dict[str, Any]:
    """Return the peer and the headers that a proxy's stamp may be in, as an ASGI scope has them."""
    headers = [
        (name.encode(), environ[key].encode("latin-1", "replace"))
        for name, key in (("x-request-start", "HTTP_X_REQUEST_START"), ("x-queue-start", "HTTP_X_QUEUE_START"))
        if key in environ
    ]
    peer = environ.get("REMOTE_ADDR")
    return {"client": (peer, 0) if peer else None, "headers": headers}


def _since(stamp: str) -> float:
    """Return the seconds since an instant in microseconds of the epoch."""
    age = time.time() - int(stamp) / 1e6
    return age if 0.0 < age < _LONGEST_AGE else 0.0


def _age_in_uwsgi() -> float:
    # The module exists inside of uWSGI alone.
    import uwsgi

    connection = socket.socket(fileno=uwsgi.connection_fd())
    try:
        return socket_age(connection)
    finally:
        connection.detach()
