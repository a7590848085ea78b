"""One ASGI request or WebSocket under way: what its messages say of its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgiref.sync import markcoroutinefunction

from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving
from perfguard.outcome import Outcome, outcome_of_status

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class OpenStreams:
    """Counts the streams and WebSockets that are open, under a cap of their own.

    Args:
        most: How many may be open.
    """

    __slots__ = ("count", "most")

    most: int
    count: int

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether no more may be opened."""
        return self.count >= self.most


class Exchange(Serving):
    """Follows one HTTP response, and settles its admission when service ends.

    That is at the first message of a body that has more to come (a stream, which is
    then counted under its own cap), else at the last. The admission is settled before
    the message is handed on, so that a slow reader holds no permit. A stream over the
    cap keeps its permit until it ends, so that streams are bounded without being cut.
    """

    __slots__ = ("_send", "_status", "_streaming", "_streams")

    _send: Send
    _streams: OpenStreams
    _status: int
    _streaming: bool

    def __init__(self, admission: Admission, send: Send, streams: OpenStreams) -> None:
        self._admission = admission
        self._outer_deadline = None
        self._send = send
        self._streams = streams
        self._status = 0
        self._streaming = False

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message of the application on to the server; to be awaited."""
        if not self._admission.settled:
            self._follow(message)
        return self._send(message)

    def close(self, error: BaseException | None) -> None:
        """End what is still open, once the application has returned or raised."""
        if self._streaming:
            self._streams.count -= 1
            self._streaming = False
        if not self._admission.settled:
            self._admission.settle(outcome_of_status(self._status) if error is None else outcome_of(type(error)))

    def _follow(self, message: Message) -> None:
        kind = type_of(message)
        if kind == "http.response.body":
            if message.get("more_body"):
                self._open_stream()
            else:
                self._admission.settle(outcome_of_status(self._status))
        elif kind == "http.response.start":
            status = message.get("status")
            self._status = status if isinstance(status, int) else 0
        elif kind == "http.response.pathsend":
            self._admission.settle(outcome_of_status(self._status))

    def _open_stream(self) -> None:
        if self._streaming or self._streams.full:
            return
        self._streaming = True
        self._streams.count += 1
        self._admission.settle(outcome_of_status(self._status))


class Handshake(Serving):
    """Follows one WebSocket: the handshake is a call, what comes after an open stream."""

    __slots__ = ("_open", "_send", "_streams")

    _send: Send
    _streams: OpenStreams
    _open: bool

    def __init__(self, admission: Admission, send: Send, streams: OpenStreams) -> None:
        self._admission = admission
        self._outer_deadline = None
        self._send = send
        self._streams = streams
        self._open = False

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message of the application on to the server; to be awaited."""
        if not self._admission.settled:
            self._follow(message)
        return self._send(message)

    def close(self, error: BaseException | None) -> None:
        """End what is still open, once the application has returned or raised."""
        if self._open:
            self._streams.count -= 1
            self._open = False
        self._admission.settle(Outcome.IGNORED if error is None else outcome_of(type(error)))

    def _follow(self, message: Message) -> None:
        kind = type_of(message)
        if kind == "websocket.accept":
            self._open = True
            self._streams.count += 1
            self._admission.settle(Outcome.SUCCESS)
        elif kind == "websocket.close":
            self._admission.settle(Outcome.IGNORED)


FOLLOWING: dict[str, type[Exchange | Handshake]] = {"http": Exchange, "websocket": Handshake}
"""What follows the service of each kind of scope."""

# Plain functions that return an awaitable; frameworks ask whether `send` is a coroutine function.
markcoroutinefunction(Exchange.send)
markcoroutinefunction(Handshake.send)


def type_of(message: Message) -> Any:
    try:
        return message["type"]
    except (KeyError, TypeError):
        # A message without a type is the server's to complain about.
        return None


class Prefetch:
    """Reads ahead of a queued request, so that its client's leaving is seen.

    Made when the call joins the queue. It holds one part of the body at most: after a
    whole body only the news of the client's leaving can follow. The application then
    receives what was read, in order.
    """

    __slots__ = ("_messages", "_news", "_receive", "_task")

    _receive: Receive
    _messages: deque[Message]
    _news: asyncio.Event
    _task: asyncio.Task[None]

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages = deque()
        self._news = asyncio.Event()
        self._task = asyncio.ensure_future(self._read())

    @property
    def disconnected(self) -> bool:
        """Whether the client is known to have left."""
        return any(message.get("type") == "http.disconnect" for message in self._messages)

    async def receive(self) -> Message:
        """Return the next message, those that were read ahead first."""
        while not self._messages:
            if self._task.done():
                return await self._receive()
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()

    def close(self) -> None:
        """Stop reading."""
        if not self._task.cancel() and not self._task.cancelled():
            self._task.exception()

    async def _read(self) -> None:
        try:
            body = await self._next()
            if body.get("type") == "http.request" and not body.get("more_body"):
                await self._next()
        finally:
            self._news.set()

    async def _next(self) -> Message:
        message = await self._receive()
        self._messages.append(message)
        self._news.set()
        return message
