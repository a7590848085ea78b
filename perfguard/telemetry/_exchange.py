"""ASGI requests and WebSocket handshakes that are recorded, to the last byte of the response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Self

from asgiref.sync import markcoroutinefunction

from perfguard._exchange import Exchange, Handshake, Message, OpenStreams, Send, type_of
from perfguard.admission import Admission
from perfguard.telemetry._described import ASGI
from perfguard.telemetry._live import Live
from perfguard.telemetry._recorder import Recorder

_SWITCHING_PROTOCOLS = 101
# What the ASGI specification has servers answer where the application closes before it accepts.
_FORBIDDEN = 403


class RecordedExchange(Exchange):
    """An exchange whose request is recorded once the last message of its body is sent.

    Args:
        live: The request under way.
        send: The server's.
        streams: Where streams count.
    """

    __slots__ = ("_live",)

    _live: Live

    def __init__(self, live: Live, send: Send, streams: OpenStreams) -> None:
        super().__init__(live.admission, send, streams)
        self._live = live

    def __enter__(self) -> Self:
        super().__enter__()
        self._live.attach()
        return self

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message of the application on to the server; to be awaited."""
        if not self._admission.settled:
            self._follow(message)
        return self._sent_last(message) if _is_last(message) else self._send(message)

    def close(self, error: BaseException | None) -> None:
        """End what is still open, once the application has returned or raised."""
        self._live.detach()
        super().close(error)
        self._live.end(self._status, error)

    async def _sent_last(self, message: Message) -> None:
        await _sent(self._send, message, self._live, self._status)


class RecordedHandshake(Handshake):
    """A handshake that is recorded once it is answered; what comes after is no part of the request.

    Args:
        live: The request under way.
        send: The server's.
        streams: Where WebSockets count.
    """

    __slots__ = ("_live", "_status")

    _live: Live
    _status: int

    def __init__(self, live: Live, send: Send, streams: OpenStreams) -> None:
        super().__init__(live.admission, send, streams)
        self._live = live
        self._status = 0

    def __enter__(self) -> Self:
        super().__enter__()
        self._live.attach()
        return self

    def send(self, message: Message) -> Awaitable[None]:
        """Hand a message of the application on to the server; to be awaited."""
        if not self._admission.settled:
            self._follow(message)
        if self._status:
            return self._send(message)
        self._status = _answer(message)
        return self._answered(message) if self._status else self._send(message)

    def close(self, error: BaseException | None) -> None:
        """End what is still open, once the application has returned or raised."""
        self._live.detach()
        super().close(error)
        self._live.end(self._status, error)

    async def _answered(self, message: Message) -> None:
        await _sent(self._send, message, self._live, self._status)


class ScopeRecorder(Recorder):
    """Records the requests of a guard that come as ASGI scopes."""

    protocol = ASGI

    def exchange(
        self, admission: Admission, scope: Any, send: Send, streams: OpenStreams
    ) -> RecordedExchange | RecordedHandshake | None:
        """Return what follows and records an admitted request; `None`, which is logged, where that fails."""
        try:
            live = self.begin(admission, scope, asyncio.current_task())
            return (RecordedExchange if scope["type"] == "http" else RecordedHandshake)(live, send, streams)
        except Exception as error:
            self.fault("the beginning of a request", error)
            return None


markcoroutinefunction(RecordedExchange.send)
markcoroutinefunction(RecordedHandshake.send)


async def _sent(send: Send, message: Message, live: Live, status: int) -> None:
    """Send what ends a request, and record it after that, so that the client need not wait for it."""
    if not live.own:
        # Whose span it is ends it as soon as this message is sent.
        live.end(status, None)
    try:
        await send(message)
    except OSError:
        # By the ASGI specification, what a server raises when the client has left.
        live.end(status, None)
        raise
    except BaseException as error:
        live.end(status, error)
        raise
    live.end(status, None)


def _is_last(message: Message) -> bool:
    kind = type_of(message)
    if kind == "http.response.body":
        return not message.get("more_body")
    return bool(kind == "http.response.pathsend")


def _answer(message: Message) -> int:
    """Return the status with which a message answers a handshake, 0 if it does not."""
    kind = type_of(message)
    if kind == "websocket.accept":
        return _SWITCHING_PROTOCOLS
    if kind == "websocket.close":
        return _FORBIDDEN
    status: Any = message.get("status") if kind == "websocket.http.response.start" else 0
    return status if isinstance(status, int) else 0
