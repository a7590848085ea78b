"""One HTTP/1.1 client connection: a request goes out, a whole answer comes back, and the owner hears of it once."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools

from perfguard.cli.load.fate import Fate
from perfguard.cli.load.route import Route

IDLE = -1

_LONGEST_ABSENCE = 3600.0
_FRAMING = (b"content-length", b"transfer-encoding")


class Owner(Protocol):
    """Who hears of what happens on a connection; called in the loop's thread."""

    def answered(self, connection: Connection, request: int, status: int) -> None:
        """The answer to `request` is complete; `connection.reusable` says whether another one may follow."""
        ...

    def failed(self, connection: Connection, request: int, fate: Fate) -> None:
        """No answer to `request` will come on this connection."""
        ...

    def closed(self, connection: Connection) -> None:
        """The connection, once established, is gone; called last, and once."""
        ...


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Args:
        owner: Hears of answers and failures.
        route: Where it leads.
        request: The number of the first request, which is sent as soon as the connection stands.
    """

    __slots__ = (
        "_complete",
        "_framed",
        "_headers_done",
        "_owner",
        "_parser",
        "_transport",
        "fed",
        "request",
        "retry_after",
        "reusable",
        "route",
        "served",
        "status",
    )

    def __init__(self, owner: Owner, route: Route, request: int) -> None:
        self.route = route
        self.request = request
        self.served = 0
        self.fed = self.reusable = False
        self.status = 0
        self.retry_after = 0.0
        self._owner = owner
        self._parser: httptools.HttpResponseParser | None = None
        self._transport: asyncio.Transport | None = None
        self._complete = self._framed = self._headers_done = False

    def __repr__(self) -> str:
        doing = "idle" if self.request == IDLE else f"request {self.request}"
        return f"<Connection to {self.route.address}, {doing}, {self.served} served>"

    @property
    def open(self) -> bool:
        """Whether a request can be sent on it."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def established(self) -> bool:
        """Whether it stood at any time."""
        return self._transport is not None

    def send(self, request: int, route: Route) -> None:
        """Send a request on a connection that stands idle."""
        self.request, self.route = request, route
        self.fed = self.reusable = False
        self.retry_after = 0.0
        self._complete = self._framed = self._headers_done = False
        if self._transport is not None:
            self._transport.write(route.request)

    def abandon(self) -> None:
        """Forget the request and close at once; the owner does not hear of it."""
        self.request = IDLE
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close after what is written is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request, unless it was given up meanwhile."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        if self.request == IDLE:
            self._transport.abort()
        else:
            self.send(self.request, self.route)

    def data_received(self, data: bytes) -> None:
        """Parse; on a complete answer, tell the owner."""
        if self.request == IDLE or self._parser is None:
            self.abandon()
            return
        self.fed = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._complete:
                self._fail(Fate.MALFORMED)
                return
            self.reusable = False
        if self._complete:
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the stream completes an answer of no declared length, and fails any other."""
        # The parser and its callbacks refer to one another.
        self._parser = None
        if self.request != IDLE:
            if exc is None and self._headers_done and not self._framed:
                self.reusable = False
                self._answer()
            else:
                self._fail(Fate.TRUNCATED if self.fed else Fate.CLOSED)
        self._owner.closed(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback: note whether the answer's length is declared, and when to come back."""
        lower = name.lower()
        if lower in _FRAMING:
            self._framed = True
        # The other form, a date, is for absences of hours.
        elif lower == b"retry-after" and value.isdigit():
            self.retry_after = min(float(value), _LONGEST_ABSENCE)

    def on_headers_complete(self) -> None:
        """Parser callback: the status is known.

        Raises:
            ValueError: A second answer follows one that was complete; the parser wraps it.
        """
        if self._complete:
            raise ValueError("two answers to one request")
        if self._parser is not None:
            self.status = self._parser.get_status_code()
            self._headers_done = self.status >= 200

    def on_message_complete(self) -> None:
        """Parser callback: the answer is whole, unless it was an interim one (1xx)."""
        if self.status >= 200 and self._parser is not None:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()

    def _answer(self) -> None:
        request, self.request = self.request, IDLE
        self.served += 1
        self._owner.answered(self, request, self.status)

    def _fail(self, fate: Fate) -> None:
        request = self.request
        self.abandon()
        self._owner.failed(self, request, fate)
