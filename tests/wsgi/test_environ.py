"""What WSGI servers tell of a request's arrival and of its client."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from perfguard import _environ
from perfguard._environ import age_of, has_left, scope_of, socket_of
from perfguard.guard import Guard
from perfguard.outcome import Outcome
from perfguard.wsgi import GuardMiddleware
from tests.wsgi.calls import Server, answering, environ, full_guard, until_queued


@contextlib.contextmanager
def connected(family: int = socket.AF_INET) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, the server's first."""
    if family == socket.AF_UNIX:
        left, right = socket.socketpair()
        with left, right:
            yield left, right
        return
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        yield accepted, client


class Aged:
    """A socket whose last data came so many milliseconds ago.

    Args:
        age: In milliseconds.
        state: Of the connection, in the kernel's number.
    """

    def __init__(self, age: int = 250, state: int = 1) -> None:
        self._age = age
        self._state = state

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """As the kernel fills `struct tcp_info`."""
        return (bytes([self._state]) + bytes(51) + self._age.to_bytes(4, sys.byteorder))[:size]


class Mute:
    """A socket that fails."""

    def getsockopt(self, *_: object) -> bytes:
        """Fail."""
        raise OSError

    def fileno(self) -> int:
        """Fail."""
        raise ValueError


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket", "gunicorn.sock"])
def test_the_kernel_tells_by_the_socket_that_the_server_gives(key: str) -> None:
    sock = Aged()
    assert socket_of({key: sock}) is sock
    assert age_of({key: sock}) == 0.25


@pytest.mark.parametrize("sock", [Mute(), object(), "socket"], ids=["fails", "object", "text"])
def test_a_strange_socket_has_no_age_and_no_client_that_left(sock: Any) -> None:
    assert age_of({"gunicorn.socket": sock}) == 0.0


def test_where_nothing_tells_the_age_is_zero_and_the_client_is_there() -> None:
    assert age_of(environ()) == 0.0
    assert not has_left(environ())
    assert not has_left({"gunicorn.socket": Mute()})


@pytest.mark.parametrize(
    ("stamp", "age"),
    [("1700000000000000", 1.5), ("1600000000000000", 0.0), ("1800000000000000", 0.0)],
    ids=["then", "long ago", "to come"],
)
def test_the_stamp_of_mod_wsgi_is_read(stamp: str, age: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_001.5)
    assert age_of({"mod_wsgi.queue_start": stamp}) == age


def test_a_stamp_that_is_none_lets_the_request_through() -> None:
    middleware = GuardMiddleware(answering())
    assert Server().serve(middleware, environ(**{"mod_wsgi.queue_start": "soon"})).body == b"ok"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
@pytest.mark.parametrize("waiting", [b"", b"GET / HTTP/1.1"], ids=["idle", "pipelined"])
def test_a_client_that_closed_its_connection_has_left(family: int, waiting: bytes) -> None:
    """It takes nothing of what else was sent."""
    with connected(family) as (sock, client):
        client.sendall(waiting)
        assert not has_left({"gunicorn.socket": sock})
        client.shutdown(socket.SHUT_RDWR)
        seen = has_left({"gunicorn.socket": sock})
        # In a Unix socket the end stands behind what was sent.
        assert seen or (family == socket.AF_UNIX and waiting)
        assert sock.recv(100) == waiting


def test_a_client_on_a_unix_socket_that_reset_its_connection_has_left() -> None:
    with connected(socket.AF_UNIX) as (sock, client):
        sock.sendall(b"unread")
        client.close()
        assert has_left({"gunicorn.socket": sock})


def test_the_kernel_knows_a_state_by_its_number() -> None:
    assert not has_left({"gunicorn.socket": Aged(state=1)})
    assert has_left({"gunicorn.socket": Aged(state=8)})


@pytest.mark.parametrize("gone", [True, False])
def test_waitress_is_asked_itself(gone: bool) -> None:  # noqa: FBT001 # A column.
    assert has_left({"waitress.client_disconnected": lambda: gone}) is gone


def test_uwsgi_gives_a_descriptor_that_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected() as (sock, client):
        uwsgi = types.SimpleNamespace(connection_fd=sock.fileno)
        monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
        client.sendall(b"GET")
        assert 0.0 <= age_of({"uwsgi.version": b"2"}) < 1.0
        assert not has_left({"uwsgi.version": b"2"})
        client.shutdown(socket.SHUT_RDWR)
        assert has_left({"uwsgi.version": b"2"})
        assert sock.recv(3) == b"GET"


def test_where_the_platform_has_no_tcp_info_the_end_of_the_stream_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_environ, "TCP_INFO", None)
    with connected() as (sock, client):
        assert not has_left({"gunicorn.socket": sock})
        client.shutdown(socket.SHUT_RDWR)
        assert has_left({"gunicorn.socket": sock})


def test_the_peer_and_the_stamps_are_those_of_the_environ() -> None:
    scope = scope_of({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_QUEUE_START": "2", "HTTP_X_REQUEST_START": "1\u20ac"})
    assert scope["client"][0] == "10.0.0.1"
    assert scope["headers"] == [(b"x-request-start", b"1?"), (b"x-queue-start", b"2")]


def test_a_client_that_left_while_its_request_was_queued_is_not_served() -> None:
    guard = full_guard()
    served: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        served.append("served")
        return list(answering()(environ, start_response))

    with connected() as (sock, client):
        first = guard.admit()
        guard.enter(first)
        server = Server()
        request = environ() | {"gunicorn.socket": sock}
        thread = threading.Thread(target=server.serve, args=[GuardMiddleware(app, guard), request])
        thread.start()
        until_queued(guard, 1)
        client.shutdown(socket.SHUT_RDWR)
        first.settle(Outcome.SUCCESS)
        thread.join()
    assert served == []
    assert server.status == "503 Service Unavailable"
    assert guard.snapshot().in_flight == 0


def test_a_client_that_left_while_its_request_stood_in_the_kernel_is_not_served() -> None:
    middleware = GuardMiddleware(answering())
    for state, status in ((8, "503 Service Unavailable"), (1, "200 OK")):
        request = environ() | {"gunicorn.socket": Aged(age=25, state=state)}
        assert Server().serve(middleware, request).status == status
    assert middleware.guard.snapshot().settled == {Outcome.IGNORED: 1, Outcome.SUCCESS: 1}


def test_a_dry_run_serves_a_client_that_closed_its_half_of_the_connection() -> None:
    """It may yet read the answer; a trial changes nothing for anybody."""
    middleware = GuardMiddleware(answering(), Guard(dry_run=True))
    request = environ() | {"gunicorn.socket": Aged(age=25, state=8)}
    assert Server().serve(middleware, request).body == b"ok"
