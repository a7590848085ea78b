"""When a request reached this host: by the kernel, or by a trusted proxy's header."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any

from perfguard._checks import listed
from perfguard._forking import in_each_child
from perfguard.errors import ConfigurationError
from perfguard.stats.skew import ClockSkews

TCP_INFO = getattr(socket, "TCP_INFO", None)

# struct tcp_info in linux/tcp.h: eight single bytes, then 32-bit words; the word at 52 is
# tcpi_last_data_recv, the milliseconds since the last data arrived.
_age_word = struct.Struct("=52xI")
_AGE_SIZE = 56
_TCP = socket.IPPROTO_TCP

# Even an idle connection shows less than this after a request that came a moment ago;
# more means that the last data was not this request's.
_LONGEST_AGE = 60.0


def transport_of(receive: Any) -> Any:
    """Return the asyncio transport behind an ASGI `receive`, `None` where it is hidden.

    uvicorn's `receive` is a method of the object that holds the transport, gunicorn's of
    one whose protocol does. No public interface offers it; a server that changes its
    ways costs the information, nothing else.
    """
    try:
        owner = receive.__self__
        transport = getattr(owner, "transport", None) or owner.protocol.transport
    except AttributeError:
        return None
    return transport if hasattr(transport, "get_extra_info") else None


def kernel_age(transport: Any) -> float:
    """Return the seconds for which the last data of an asyncio transport has stood in the kernel, as `socket_age`."""
    try:
        return socket_age(transport.get_extra_info("socket"))
    except AttributeError:
        return 0.0


def socket_age(sock: Any) -> float:
    """Return the seconds for which the last data received has stood in the kernel.

    0 where the platform or the socket cannot tell. Resolution is a jiffy, about 4 ms.
    """
    if TCP_INFO is None:
        return 0.0
    try:
        age: float = _age_word.unpack(sock.getsockopt(_TCP, TCP_INFO, _AGE_SIZE))[0] / 1000.0
    except (AttributeError, OSError, TypeError, struct.error):
        return 0.0
    return age if age < _LONGEST_AGE else 0.0


class StampRejection(StrEnum):
    """Why a proxy's time stamp was not believed."""

    MALFORMED = "malformed"
    STALE = "stale"
    FUTURE = "future"
    DUPLICATE = "duplicate"


class ProxyClock:
    """Reads when a trusted proxy received a request.

    The first stamp that is believed counts, of `X-Request-Start` and then of
    `X-Queue-Start`: the order of New Relic's agent, which proxies are set up for. A
    header that comes twice is not believed at all: one of the two may be the client's.

    The value is `t=` or a bare number in ASCII digits, in seconds (with a fraction),
    milliseconds, microseconds or nanoseconds since the epoch, told apart by magnitude.
    Nothing in a header can raise.

    A proxy whose clock runs ahead steadily is corrected by the least difference of its
    stamps in the last five minutes (`perfguard.stats.skew`); until that is proven, its
    stamps from the future are rejected. One whose clock is behind cannot be told from one
    that holds every request back.

    Threads may share it.

    Args:
        trusted: Addresses or networks of the proxies, such as `"10.0.0.0/8"`; `"unix"`
            for a peer on a Unix socket. With none, no header is ever read.
        max_age: Older stamps, and stamps this far in the future, are rejected, in seconds.
        skew_tolerance: Stamps this far in the future count as now, in seconds.

    Attributes:
        rejected: How many stamps were rejected, by reason.

    Raises:
        ConfigurationError: Something in `trusted` is neither.
    """

    __slots__ = ("__weakref__", "_lock", "_max_age", "_networks", "_peers", "_skews", "_tolerance", "_unix", "rejected")

    rejected: Counter[StampRejection]
    _networks: tuple[Any, ...]
    _peers: dict[str, bool]
    _unix: bool
    _max_age: float
    _tolerance: float
    _lock: threading.Lock
    _skews: ClockSkews

    def __init__(self, trusted: Iterable[str] = (), *, max_age: float = 60.0, skew_tolerance: float = 0.005) -> None:
        names = listed("trusted_proxies", trusted, "addresses")
        self._unix = "unix" in names
        self._networks = tuple(_network(name) for name in names if name != "unix")
        self._peers = {}
        self._max_age = max_age
        self._tolerance = skew_tolerance
        self._skews = ClockSkews(skew_tolerance)
        self.rejected = Counter()
        self._renew_lock()
        in_each_child(self._renew_lock)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def age(self, scope: Any, wall: float) -> float:
        """Return the seconds since the proxy stamped the request, 0 if nothing is believed.

        Args:
            scope: The ASGI scope, with the peer and the headers.
            wall: The time of day, in seconds since the epoch.
        """
        client = scope.get("client")
        if not self.trusts(client):
            return 0.0
        stamps = [pair for pair in scope["headers"] if pair[0] in _STAMPED]
        if not stamps:
            return 0.0
        with self._lock:
            return self._first(stamps, client[0] if client else "unix", wall)

    def offsets(self, wall: float) -> dict[str, float]:
        """Return the least of receipt less stamp of the last five minutes, in seconds, by the proxy's address.

        Negative where the proxy's clock is ahead. At most 64 proxies; `"unix"` is the peer
        on a Unix socket.

        Args:
            wall: The time of day, in seconds since the epoch.
        """
        with self._lock:
            return self._skews.offsets(wall)

    def trusts(self, client: Any) -> bool:
        """Say whether a peer, as in the ASGI scope, is a trusted proxy."""
        if not client:
            return self._unix
        host = client[0]
        known = self._peers.get(host)
        if known is None:
            known = self._lists(host)
            if len(self._peers) >= 1024:
                self._peers.clear()
            self._peers[host] = known
        return known

    def _lists(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def _first(self, stamps: list[tuple[bytes, bytes]], host: str, wall: float) -> float:
        for name in _STAMPED:
            values = [value for each, value in stamps if each == name]
            age = self._read(values, host, wall) if values else None
            if isinstance(age, StampRejection):
                self.rejected[age] += 1
            elif age is not None:
                return age
        return 0.0

    def _read(self, values: list[bytes], host: str, wall: float) -> float | StampRejection:
        if len(values) > 1:
            return StampRejection.DUPLICATE
        stamp = parse_stamp(values[0])
        if stamp is None:
            return StampRejection.MALFORMED
        difference = (int(wall * 1e9) - stamp) / 1e9
        if abs(difference) > self._max_age:
            return StampRejection.STALE if difference > 0.0 else StampRejection.FUTURE
        age = difference - self._skews.observe(host, difference, wall)
        return max(0.0, age) if age >= -self._tolerance else StampRejection.FUTURE

    def _renew_lock(self) -> None:
        # Another thread of the parent may hold it in the moment of the fork.
        self._lock = threading.Lock()


_STAMPED = (b"x-request-start", b"x-queue-start")
_STAMP = re.compile(rb"\s*(?:\S+\s+)?(?:t=)?([0-9]{9,20})(?:\.([0-9]{1,9}))?\s*")
_LONGEST_STAMP = 64


def parse_stamp(value: bytes) -> int | None:
    """Return a time stamp as nanoseconds since the epoch, `None` if it is not one."""
    first = value[:_LONGEST_STAMP].partition(b",")[0]
    match = _STAMP.fullmatch(first)
    if match is None:
        return None
    whole = int(match[1])
    for least, factor in ((10**18, 1), (10**15, 10**3), (10**12, 10**6)):
        if whole >= least:
            return whole * factor
    return whole * 10**9 + int((match[2] or b"0").ljust(9, b"0"))


def _network(name: object) -> Any:
    try:
        # A number would be an address, too.
        return ip_network(str(name), strict=False)
    except ValueError:
        remedy = 'must be addresses, networks or "unix"'
        raise ConfigurationError("trusted_proxies", name, remedy) from None
