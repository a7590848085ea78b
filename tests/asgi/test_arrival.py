"""When a request reached this host."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfguard._arrival import ProxyClock, StampRejection, kernel_age, parse_stamp, transport_of

SECOND = 10**9
WALL = 1_700_000_000.0


class Transport:
    """A transport with a socket."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def get_extra_info(self, name: str) -> Any:
        """Return the socket."""
        return self.sock if name == "socket" else None


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        (b"1700000000", 1_700_000_000 * SECOND),
        (b"t=1700000000.25", 1_700_000_000 * SECOND + SECOND // 4),
        (b"1700000000123", 1_700_000_000 * SECOND + 123_000_000),
        (b"t=1700000000123456", 1_700_000_000 * SECOND + 123_456_000),
        (b"1700000000123456789", 1_700_000_000 * SECOND + 123_456_789),
        (b" 1700000000 , 1800000000", 1_700_000_000 * SECOND),
    ],
)
def test_a_stamp_is_read_by_its_magnitude(value: bytes, nanoseconds: int) -> None:
    assert parse_stamp(value) == nanoseconds


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"now",
        b"-1700000000",
        b"1e9",
        b"1e400",
        b"0x65",
        b"1700",
        b"t=",
        b"9" * 500,
        b"9" * 20_000,
        "\u0661\u0667".encode() + "\u0660".encode() * 8,
        b"\xff" * 9,
        b"1_700_000_000",
        b"1700000000\x00",
        b"\x001700000000",
        b"+1700000000",
        b"inf",
        b"nan",
    ],
    ids=lambda value: f"{value[:24]!r} of {len(value)}",
)
def test_what_is_no_stamp_is_none(value: bytes) -> None:
    assert parse_stamp(value) is None


@given(st.binary(max_size=100))
def test_no_bytes_at_all_raise(value: bytes) -> None:
    stamp = parse_stamp(value)
    assert stamp is None or stamp > 0


def scope(host: str | None, *values: bytes) -> dict[str, Any]:
    headers = [(b"host", b"x"), *((b"x-request-start", value) for value in values)]
    return {"client": None if host is None else (host, 1), "headers": headers}


@pytest.mark.parametrize(
    ("host", "age"),
    [("10.1.2.3", 2.0), ("192.168.0.1", 0.0), ("not an address", 0.0), (None, 0.0), ("::1", 2.0)],
)
def test_only_trusted_peers_are_believed(host: str | None, age: float) -> None:
    clock = ProxyClock(["10.0.0.0/8", "::1"])
    assert clock.age(scope(host, b"1700000000"), WALL + 2.0) == age
    assert clock.age(scope(host, b"1700000000"), WALL + 2.0) == age


def test_a_peer_on_a_unix_socket_is_trusted_by_name() -> None:
    assert ProxyClock(["unix"]).age(scope(None, b"1700000000"), WALL + 2.0) == 2.0


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_the_request_start_goes_before_the_queue_start(order: int) -> None:
    """Wherever it stands, and though the other is older."""
    headers = [(b"x-request-start", b"1700000001"), (b"x-queue-start", b"1700000000")]
    stamped = {"client": ("10.0.0.1", 1), "headers": headers[::order]}
    assert ProxyClock(["10.0.0.1"]).age(stamped, WALL + 2.0) == 1.0


@pytest.mark.parametrize("start", [b"yesterday", b"1600000000", b"1900000000"], ids=["malformed", "stale", "future"])
def test_the_queue_start_counts_where_the_request_start_is_not_believed(start: bytes) -> None:
    """A client cannot hide the stamp of a proxy that sets the other header."""
    headers = [(b"x-request-start", start), (b"x-queue-start", b"1700000000")]
    assert ProxyClock(["10.0.0.1"]).age({"client": ("10.0.0.1", 1), "headers": headers}, WALL + 2.0) == 2.0


def test_the_queue_start_counts_where_there_is_no_request_start() -> None:
    """Some proxies set that alone."""
    headers = [(b"x-queue-start", b"1700000000")]
    assert ProxyClock(["10.0.0.1"]).age({"client": ("10.0.0.1", 1), "headers": headers}, WALL + 2.0) == 2.0


def test_a_stamp_of_now_is_believed_before_an_older_queue_start() -> None:
    """No time in the proxy is an answer, too."""
    headers = [(b"x-request-start", b"1700000002"), (b"x-queue-start", b"1700000000")]
    assert ProxyClock(["10.0.0.1"]).age({"client": ("10.0.0.1", 1), "headers": headers}, WALL + 2.0) == 0.0


def test_a_header_that_comes_twice_is_not_believed() -> None:
    """Nobody can say which of the two is the proxy's."""
    clock = ProxyClock(["10.0.0.1"])
    assert clock.age(scope("10.0.0.1", b"1700000001", b"1700000000"), WALL + 2.0) == 0.0
    assert clock.rejected == {StampRejection.DUPLICATE: 1}


def test_the_queue_start_counts_where_the_request_start_comes_twice() -> None:
    """As where it is not believed for another reason."""
    stamped = scope("10.0.0.1", b"1700000001", b"1700000001")
    stamped["headers"].append((b"x-queue-start", b"1700000000"))
    assert ProxyClock(["10.0.0.1"]).age(stamped, WALL + 2.0) == 2.0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"yesterday", StampRejection.MALFORMED),
        (b"1699999000", StampRejection.STALE),
        (b"1700000009", StampRejection.FUTURE),
    ],
    ids=["malformed", "stale", "future"],
)
def test_a_stamp_that_is_not_believed_is_counted(value: bytes, reason: StampRejection) -> None:
    clock = ProxyClock(["10.0.0.1"])
    assert clock.age(scope("10.0.0.1", value), WALL) == 0.0
    assert clock.rejected == {reason: 1}


def test_a_clock_that_is_a_little_ahead_means_now() -> None:
    assert ProxyClock(["10.0.0.1"]).age(scope("10.0.0.1", b"1700000000.003"), WALL) == 0.0


def test_a_clock_that_is_ahead_is_rejected_until_it_is_proven_and_corrected_then() -> None:
    """Three seconds ahead, with requests that took a tenth and then half a second."""
    clock = ProxyClock(["10.0.0.1"])
    ages = [clock.age(scope("10.0.0.1", b"1700000003"), WALL + 0.1) for _ in range(20)]
    assert ages == [0.0] * 20
    assert clock.rejected == {StampRejection.FUTURE: 9}
    assert clock.age(scope("10.0.0.1", b"1700000003"), WALL + 0.5) == pytest.approx(0.4)
    assert clock.offsets(WALL + 0.5) == {"10.0.0.1": pytest.approx(-2.9)}


def test_a_stamp_beyond_the_maximum_age_is_no_sign_of_skew() -> None:
    """An hour ahead is nonsense, however often it comes."""
    clock = ProxyClock(["10.0.0.1"])
    assert {clock.age(scope("10.0.0.1", b"1700003600"), WALL) for _ in range(50)} == {0.0}
    assert clock.rejected == {StampRejection.FUTURE: 50}
    assert clock.offsets(WALL) == {}


def test_a_peer_on_a_unix_socket_has_an_offset_by_that_name() -> None:
    clock = ProxyClock(["unix"])
    clock.age(scope(None, b"1700000000"), WALL + 2.0)
    assert clock.offsets(WALL + 2.0) == {"unix": 2.0}


@given(st.lists(st.binary(max_size=40) | st.integers(0, 10**21).map(lambda stamp: str(stamp).encode()), max_size=30))
def test_ages_stay_within_bounds_whatever_the_stamps(values: list[bytes]) -> None:
    """Sixty seconds back, and as much for the clock's skew."""
    clock = ProxyClock(["10.0.0.1"])
    assert all(0.0 <= clock.age(scope("10.0.0.1", value), WALL) <= 120.0 for value in values)


def test_rejected_stamps_of_many_threads_are_all_counted() -> None:
    clock = ProxyClock(["10.0.0.1"])

    def ask() -> None:
        for _ in range(2000):
            clock.age(scope("10.0.0.1", b"yesterday"), WALL)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.rejected == {StampRejection.MALFORMED: 16_000}


def test_peers_are_remembered_within_bounds() -> None:
    clock = ProxyClock(["10.0.0.0/8"])
    for number in range(3000):
        assert not clock.trusts((f"11.0.{number // 256}.{number % 256}", 1))
    assert clock.trusts(("10.0.0.1", 1))


def test_no_trusted_peer_means_no_clock() -> None:
    assert not ProxyClock()
    assert ProxyClock(["unix"])


def test_the_transport_is_found_on_the_owner_of_receive() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.transport = Transport(None)

        async def receive(self) -> None:
            """Be a bound method."""

    cycle = Cycle()
    assert transport_of(cycle.receive) is cycle.transport


def test_the_transport_is_found_on_the_owners_protocol() -> None:
    class Controller:
        def __init__(self) -> None:
            self.protocol = SimpleNamespace(transport=Transport(None))

        async def receive(self) -> None:
            """Be a bound method."""

    controller = Controller()
    assert transport_of(controller.receive) is controller.protocol.transport


@pytest.mark.parametrize("receive", [None, lambda: None, SimpleNamespace()], ids=["none", "function", "object"])
def test_a_hidden_transport_is_none(receive: Any) -> None:
    assert transport_of(receive) is None


def test_the_kernel_tells_for_how_long_data_has_stood() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"x")
            deadline = time.monotonic() + 5.0
            while kernel_age(Transport(peer)) < 0.02 and time.monotonic() < deadline:
                time.sleep(0.005)
            assert kernel_age(Transport(peer)) >= 0.02


@pytest.mark.parametrize("transport", [None, Transport(None), object()], ids=["none", "no socket", "no transport"])
def test_where_nothing_can_be_asked_the_age_is_zero(transport: Any) -> None:
    assert kernel_age(transport) == 0.0


def test_a_unix_socket_has_no_kernel_age() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert kernel_age(Transport(here)) == 0.0
