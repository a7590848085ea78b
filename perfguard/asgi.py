"""The guard as pure ASGI middleware, for any ASGI application and server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from perfguard import _arrival
from perfguard._checks import check_callable
from perfguard._exchange import FOLLOWING, Exchange, Handshake, OpenStreams, Prefetch
from perfguard._guarding import Guarding
from perfguard._http import STATUS, wants_json
from perfguard._options import EXEMPT
from perfguard._recording import Recording
from perfguard.admission import Admission
from perfguard.context import current_deadline
from perfguard.errors import ConfigurationError, LimitExceeded, Rejected
from perfguard.guard import Guard
from perfguard.outcome import Call, Outcome, Priority, Reason
from perfguard.queueing.place import Place
from perfguard.startup import put_off

if TYPE_CHECKING:
    from perfguard.telemetry._exchange import ScopeRecorder
    from perfguard.telemetry.telemetry import Telemetry

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_ANY = "", Priority.NORMAL

# RFC 6455 leaves 1013 to its registry: "Try Again Later".
_TRY_AGAIN_LATER = 1013


class GuardMiddleware(Guarding[OpenStreams]):
    """Admits requests and WebSocket handshakes through a guard, and refuses with 503.

    Put it outermost, so that it sees requests first: `app = GuardMiddleware(app)`.
    No argument is needed. It holds no state of any request, and may serve several
    event loops at once. Wrong arguments raise here, or, where `add_middleware` builds it
    at the first connection, fail the server's start.

    Args:
        app: The ASGI application.
        guard: What decides; by default a `Guard()` of its own.
        exempt: Paths that pass untouched.
        trusted_proxies: Addresses or networks (or `"unix"`) whose `X-Request-Start`
            header is believed; nobody's by default.
        key: Maps a scope to the kind of request. Must return few distinct values, such
            as a route's template; by default every request is of one kind.
        priority: Maps a scope to the request's priority; by default NORMAL.
        timeout: Seconds from arrival after which nobody wants the answer; such requests
            are refused rather than served late. `None` sets no deadline.
        max_streams: How many streamed responses and WebSockets may be open beside the
            requests in flight. With 0 a streamed response counts as in flight to its end,
            and every WebSocket is refused.
        details: Whether a refusal's body names its reason.
        telemetry: A `perfguard.telemetry.Telemetry`, which tells OpenTelemetry of each
            request; by default one of its own on the global providers. False for none.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    app: App
    _recording: Recording[ScopeRecorder]

    def __init__(
        self,
        app: App,
        guard: Guard | None = None,
        *,
        exempt: Iterable[str] = EXEMPT,
        trusted_proxies: Iterable[str] = (),
        key: Callable[[Scope], str] | None = None,
        priority: Callable[[Scope], Priority] | None = None,
        timeout: float | None = None,
        max_streams: int = 1000,
        details: bool = False,
        telemetry: Telemetry | bool = True,
    ) -> None:
        try:
            check_callable("app", app, "must be an ASGI application")
            super().__init__(
                guard,
                OpenStreams,
                exempt=exempt,
                trusted_proxies=trusted_proxies,
                key=key,
                priority=priority,
                timeout=timeout,
                max_streams=max_streams,
                details=details,
            )
            decides, proxies = self.guard, self._proxy_clock
            self._recording = Recording(telemetry, lambda chosen: chosen.scopes(decides, proxies))
        except ConfigurationError as error:
            GuardMiddleware.__init__(self, put_off(app, error), Guard(enabled=False, dry_run=False), telemetry=False)
            return
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        guard, kind = self.guard, scope["type"]
        if kind not in ("http", "websocket") or scope.get("path") in self._exempt:
            await self.app(scope, receive, self._flushing(send) if kind == "lifespan" else send)
            return
        if not guard.enabled:
            await self._serve_unguarded(scope, receive, send)
            return
        key, priority = _ANY if self._uniform else self._kind_of(scope)
        refusal = guard.refused_again(key, priority) if guard.standing else None
        if refusal is not None:
            await self._refuse_again(refusal, scope, receive, send)
            return
        admission = Admission(guard, self._call(scope, receive, key, priority))
        opening = self._begin(admission, kind)
        if opening is None:
            # Not in a method of its own, since each coroutine more costs every request.
            with self._following(admission, scope, send) as exchange:
                await self.app(scope, receive, exchange.send)
        elif isinstance(opening, Place):
            await self._serve_later(opening, scope, receive, send)
        else:
            await self._refuse(opening, scope, receive, send)
            self._record_refusal(opening, admission.call, scope)

    def _flushing(self, send: Send) -> Send:
        from perfguard.telemetry._lifespan import flushing

        return flushing(send, self._fault)

    def _kind_of(self, scope: Scope) -> tuple[str, Priority]:
        try:
            key = "" if self._key is None else self._key(scope)
            priority = Priority.NORMAL if self._priority is None else self._priority(scope)
            if not isinstance(key, str) or not isinstance(priority, Priority):
                raise TypeError(f"not a key and a Priority: {key!r}, {priority!r}")
        except BaseException as error:
            self._fault("the request's key or priority", error)
            return _ANY
        return key, priority

    def _call(self, scope: Scope, receive: Receive, key: str, priority: Priority) -> Call:
        arrival, proxied = self.guard.now(), 0.0
        try:
            age = _arrival.kernel_age(_arrival.transport_of(receive))
            if self._proxied:
                proxied = max(0.0, self._proxy_clock.age(scope, time.time()) - age)
            arrival -= age + proxied
        except BaseException as error:
            self._fault("the request's arrival", error)
        deadline = None if self._timeout is None else arrival + self._timeout
        return Call(key, priority, arrival, deadline, proxied)

    def _begin(self, admission: Admission, kind: str) -> Place | Rejected | None:
        if kind == "websocket" and self._streams.full:
            recorder = self._recording.current()
            if recorder is not None:
                recorder.refused_before(Reason.STREAM_LIMIT)
            return LimitExceeded(Reason.STREAM_LIMIT)
        try:
            return self.guard.begin(admission)
        except BaseException as error:
            self._fault("admission", error)
            return None

    async def _serve_later(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait in the admission queue, and then serve, refuse, or find that the client has left."""
        admission: Admission = place.passage
        transport, ahead = self._watch(scope, receive)
        try:
            refusal = await self.guard.queue(admission, place)
            if refusal is not None:
                await self._refuse(refusal, scope, receive, send)
                self._record_refusal(refusal, admission.call, scope)
            elif self._has_left(transport, ahead):
                admission.settle(Outcome.IGNORED)
                self._record_leaving(admission.call, scope)
            else:
                with self._following(admission, scope, send) as exchange:
                    await self.app(scope, ahead.receive if ahead else receive, exchange.send)
        except BaseException:
            if admission.admitted_at is None:
                self._record_leaving(admission.call, scope)
            raise
        finally:
            if ahead is not None:
                ahead.close()

    def _following(self, admission: Admission, scope: Scope, send: Send) -> Exchange | Handshake:
        """Return what follows a request to its end, and records it where somebody wants it."""
        recorder = self._recording.current()
        if recorder is not None:
            exchange = recorder.exchange(admission, scope, send, self._streams)
            if exchange is not None:
                return exchange
        return FOLLOWING[scope["type"]](admission, send, self._streams)

    def _record_refusal(self, error: Rejected, call: Call, scope: Scope) -> None:
        recorder = self._recording.current()
        if recorder is not None and (count := recorder.due()):
            recorder.refused(error.reason, call, scope, count)

    def _record_leaving(self, call: Call, scope: Scope) -> None:
        recorder = self._recording.current()
        if recorder is not None:
            recorder.left(call, scope)

    def _watch(self, scope: Scope, receive: Receive) -> tuple[Any, Prefetch | None]:
        """Return what will tell that the client has left: the transport or, where it is hidden, a read ahead."""
        try:
            transport = _arrival.transport_of(receive)
            hidden = transport is None and scope["type"] == "http"
            return transport, Prefetch(receive) if hidden else None
        except BaseException as error:
            self._fault("the watch of the connection", error)
            return None, None

    def _has_left(self, transport: Any, ahead: Prefetch | None) -> bool:
        try:
            return ahead.disconnected if ahead else transport is not None and bool(transport.is_closing())
        except BaseException as error:
            self._fault("the watch of the connection", error)
            return False

    async def _serve_unguarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve with the guard off: the application's deadline is its own, and stays."""
        recorded = self._recording.current() is not None
        if self._timeout is None and not recorded:
            await self.app(scope, receive, send)
            return
        call = self._call(scope, receive, *_ANY)
        if recorded:
            # Never admitted, so that it counts nowhere and ends nothing.
            with self._following(Admission(self.guard, call), scope, send) as exchange:
                await self.app(scope, receive, exchange.send)
            return
        outer = current_deadline.set(call.deadline)
        try:
            await self.app(scope, receive, send)
        finally:
            current_deadline.reset(outer)

    async def _refuse_again(self, error: Rejected, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse as what stands says; when the request arrived is of interest to telemetry alone."""
        recorder = self._recording.current()
        if recorder is None or not (count := recorder.due()):
            await self._refuse(error, scope, receive, send)
            return
        call = self._call(scope, receive, *_ANY)
        await self._refuse(error, scope, receive, send)
        recorder.refused(error.reason, call, scope, count)

    async def _refuse(self, error: Rejected, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers, body = self._refusals.render(error, json=wants_json(scope.get("headers") or ()))
        except BaseException as fault:
            self._fault("a refusal's rendering", fault)
            headers, body = [(b"content-length", b"0")], b""
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": STATUS, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await receive()
        if "websocket.http.response" in (scope.get("extensions") or {}):
            await send({"type": "websocket.http.response.start", "status": STATUS, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": body})
        else:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
