"""What to offer a server: targets, their rates over time, and the patience of the client."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from perfguard.cli.durations import name_duration
from perfguard.errors import ConfigurationError

MAX_REQUESTS = 5_000_000
MAX_SECONDS = 6 * 3600.0
MAX_CONNECTIONS = 60_000
MAX_TARGETS = 200
_MAX_WINDOWS = 100
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
IDEMPOTENT = ("GET", "PUT", "DELETE", "OPTIONS")

_LONGEST = name_duration(MAX_SECONDS)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Arrivals(StrEnum):
    """How the instants of the requests are spread."""

    POISSON = "poisson"
    """Independent clients: exponential gaps, as real traffic has them."""
    CONSTANT = "constant"
    """Equal gaps."""


class Connections(StrEnum):
    """What a request travels on."""

    KEEP_ALIVE = "keep-alive"
    """A connection that is free, else a new one; kept afterwards."""
    NEW = "new"
    """A connection of its own, closed after the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of constant rate.

    Args:
        rate: Requests per second; 0 is a pause.
        duration: Seconds.

    Raises:
        ConfigurationError: A number is negative, not finite or too large.
    """

    rate: float
    duration: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= MAX_REQUESTS:
            raise ConfigurationError("rate", self.rate, f"must be 0 to {MAX_REQUESTS:,} per second")
        if not 0 < self.duration <= MAX_SECONDS:
            raise ConfigurationError("duration", self.duration, f"must be above 0 and at most {_LONGEST}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One stream of equal requests.

    Args:
        url: An `http://` address.
        phases: The rates, one after the other; empty only for a capacity measurement.
        name: What reports call it; the path by default.
        method: One of `METHODS`.
        headers: Sent in addition to `Host`, `User-Agent` and `Accept`, which they may replace.
        body: Sent with its `Content-Length` when not empty.

    Raises:
        ConfigurationError: The address, the method or a header cannot be sent.
    """

    url: str
    phases: tuple[Phase, ...] = ()
    name: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __post_init__(self) -> None:
        split_url(self.url)
        if self.method not in METHODS:
            raise ConfigurationError("method", self.method, f"must be one of {', '.join(METHODS)}")
        for name, value in self.headers:
            _check_header(name, value)

    @classmethod
    def at(cls, url: str, rate: float, duration: float) -> Target:
        """A GET of `url`, `rate` per second for `duration` seconds."""
        return cls(url=url, phases=(Phase(rate=rate, duration=duration),))

    @property
    def label(self) -> str:
        """The name in reports."""
        return self.name or split_url(self.url).path or "/"

    @property
    def duration(self) -> float:
        """Seconds from the start to the end of the last phase."""
        return sum(phase.duration for phase in self.phases)

    @property
    def expected(self) -> float:
        """How many requests the phases make on average."""
        return sum(phase.rate * phase.duration for phase in self.phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """An open-loop load: every request's instant is fixed before the first is sent.

    Args:
        targets: The streams, all offered at the same time.
        deadline: Seconds from the intended instant within which an answer is of use to the client.
        timeout: Seconds from the intended instant after which the client leaves and closes the connection;
            by default a quarter more than the deadline.
        arrivals: How instants are spread.
        connections: What requests travel on.
        max_connections: Connections open at the same time; a request that would need one more is not sent,
            and counted as such.
        seed: Of the Poisson arrivals; the same seed gives the same instants.
        allow_remote: Whether a host that is not this machine may be loaded.

    Raises:
        ConfigurationError: A value is out of range, or the plan is too long or makes too many requests.
    """

    targets: tuple[Target, ...]
    deadline: float = 1.0
    timeout: float | None = None
    arrivals: Arrivals = Arrivals.POISSON
    connections: Connections = Connections.KEEP_ALIVE
    max_connections: int = 8192
    seed: int = 0
    allow_remote: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.deadline <= MAX_SECONDS:
            raise ConfigurationError("deadline", self.deadline, f"must be above 0 and at most {_LONGEST}")
        if not self.deadline <= self.patience <= 2 * MAX_SECONDS:
            raise ConfigurationError(
                "timeout", self.timeout, f"must be at least the deadline, {name_duration(self.deadline)}"
            )
        _check_bounds(self.targets, self.max_connections)
        if self.expected > MAX_REQUESTS:
            raise ConfigurationError("targets", self.expected, f"must make at most {MAX_REQUESTS:,} requests together")
        if self.duration > MAX_SECONDS or not self.duration:
            raise ConfigurationError("duration", self.duration, f"must be above 0 and at most {_LONGEST}")

    @property
    def patience(self) -> float:
        """Seconds from the intended instant to the client's leaving."""
        return 1.25 * self.deadline if self.timeout is None else self.timeout

    @property
    def duration(self) -> float:
        """Seconds from the start to the last phase's end."""
        return max(target.duration for target in self.targets)

    @property
    def expected(self) -> float:
        """How many requests the plan makes on average."""
        return sum(target.expected for target in self.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """A closed loop: each user sends its next request when the answer to the last one is there.

    What it measures is the rate at which a server can serve, never the latency that clients of a real load see.

    Args:
        targets: What is requested, in proportion to `weights`.
        weights: One for each target; equal by default.
        users: Requests in flight, at all times.
        duration: Seconds that are measured.
        windows: Into how many equal parts these are divided; the capacity is the median of theirs, so that what
            else the machine did for a moment does not count.
        warm_up: Seconds before these that are not.
        timeout: Seconds after which a user gives a request up.
        connections: What requests travel on.
        seed: Of the choice of targets.
        allow_remote: Whether a host that is not this machine may be loaded.

    Raises:
        ConfigurationError: A value is out of range.
    """

    targets: tuple[Target, ...]
    weights: tuple[float, ...] = ()
    users: int = 16
    duration: float = 5.0
    windows: int = 5
    warm_up: float = 0.5
    timeout: float = 10.0
    connections: Connections = Connections.KEEP_ALIVE
    seed: int = 0
    allow_remote: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.targets, self.users, count_name="users")
        if not 0 < self.duration <= MAX_SECONDS:
            raise ConfigurationError("duration", self.duration, f"must be above 0 and at most {_LONGEST}")
        if not 1 <= self.windows <= _MAX_WINDOWS:
            raise ConfigurationError("windows", self.windows, f"must be 1 to {_MAX_WINDOWS}")
        if not 0 <= self.warm_up <= MAX_SECONDS:
            raise ConfigurationError("warm_up", self.warm_up, f"must be 0 to {_LONGEST}")
        if not 0 < self.timeout <= MAX_SECONDS:
            raise ConfigurationError("timeout", self.timeout, f"must be above 0 and at most {_LONGEST}")
        if self.weights and (len(self.weights) != len(self.targets) or min(self.weights) <= 0):
            raise ConfigurationError("weights", self.weights, "must be positive, one for each target")

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, or equal ones."""
        return self.weights or (1.0,) * len(self.targets)


def split_url(url: str) -> SplitResult:
    """The parts of an address that can be loaded.

    Raises:
        ConfigurationError: It is not an `http://` address with a host.
    """
    remedy = "must look like http://127.0.0.1:8000/path"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("url", url, remedy) from None
    if parts.scheme == "https":
        raise ConfigurationError("url", url, "must begin with http://; https is not supported")
    if parts.scheme != "http" or not parts.hostname or not url.isascii() or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ConfigurationError("url", url, remedy)
    if parts.username is not None:
        raise ConfigurationError("url", url, "must not carry a user name; send an Authorization header")
    if not _has_valid_port(parts):
        raise ConfigurationError("url", url, "must have a port from 1 to 65535")
    return parts


def _has_valid_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise ConfigurationError("header", name, "must have a name of letters, digits and dashes")
    if not value.isascii() or not value.isprintable():
        raise ConfigurationError("header", f"{name}: {value}", "must have a printable ASCII value")
    if name.lower() in ("content-length", "transfer-encoding", "connection"):
        raise ConfigurationError("header", name, "is set by the generator itself")


def _check_bounds(targets: tuple[Target, ...], connections: int, *, count_name: str = "max_connections") -> None:
    if not 1 <= len(targets) <= MAX_TARGETS:
        raise ConfigurationError("targets", len(targets), f"must be 1 to {MAX_TARGETS}")
    if not 1 <= connections <= MAX_CONNECTIONS:
        raise ConfigurationError(count_name, connections, f"must be 1 to {MAX_CONNECTIONS:,}")
