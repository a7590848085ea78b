"""The guard as WSGI middleware, for any WSGI application (PEP 3333) and server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from perfguard import _arrival
from perfguard._body import OpenStreams, Response
from perfguard._checks import check_callable
from perfguard._environ import age_of, has_left, scope_of
from perfguard._environment import check_environment
from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard._http import STATUS, Refusals
from perfguard._options import EXEMPT, check_options, paths_of
from perfguard.admission import Admission
from perfguard.context import current_admission, current_deadline
from perfguard.errors import Rejected
from perfguard.guard import Guard
from perfguard.outcome import Call, Outcome, Priority, Reason

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

# An operator's mistake shows when the server loads the application, not once it serves.
check_environment()

_IMPATIENCE = 0.02
"""Seconds in queues elsewhere after which it is worth a look whether the client is still there."""

_ANY = "", Priority.NORMAL

_STATUS_LINE = f"{STATUS} Service Unavailable"


class GuardMiddleware:
    """Admits requests through a guard, and refuses with 503.

    Put it outermost, so that it sees requests first: `app = GuardMiddleware(app)`.
    No argument is needed. A thread whose request must wait waits in here. It holds no
    state of any request, and serves any number of threads, also in processes forked
    after it was made.

    A response is served once its whole body is there; of one that is produced in parts
    (a stream) once the first part is. It is handed on part by part, never buffered.

    Args:
        app: The WSGI application.
        guard: What decides; by default a `Guard()` of its own.
        exempt: Paths that pass untouched.
        trusted_proxies: Addresses or networks (or `"unix"`) whose `X-Request-Start`
            header is believed; nobody's by default.
        key: Maps an environ to the kind of request. Must return few distinct values, such
            as a route's template; by default every request is of one kind.
        priority: Maps an environ to the request's priority; by default NORMAL.
        timeout: Seconds from arrival after which nobody wants the answer; such requests
            are refused rather than served late. `None` sets no deadline.
        max_streams: How many streamed responses may be open beside the requests in flight.
        details: Whether a refusal's body names its reason.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    guard: Guard
    app: App
    _exempt: frozenset[str]
    _proxy_clock: _arrival.ProxyClock
    _proxied: bool
    _key: Callable[[Environ], str] | None
    _priority: Callable[[Environ], Priority] | None
    _uniform: bool
    _timeout: float | None
    _max_streams: int
    _streams: OpenStreams
    _refusals: Refusals
    _fault: Callable[[str, BaseException], object]

    def __init__(
        self,
        app: App,
        guard: Guard | None = None,
        *,
        exempt: Iterable[str] = EXEMPT,
        trusted_proxies: Iterable[str] = (),
        key: Callable[[Environ], str] | None = None,
        priority: Callable[[Environ], Priority] | None = None,
        timeout: float | None = None,
        max_streams: int = 1000,
        details: bool = False,
    ) -> None:
        check_options(guard, timeout, max_streams=max_streams, details=details, key=key, priority=priority)
        check_callable("app", app, "must be a WSGI application")
        self.app = app
        self.guard = Guard() if guard is None else guard
        self._exempt = paths_of(exempt)
        self._proxy_clock = _arrival.ProxyClock(trusted_proxies)
        self._proxied = bool(self._proxy_clock)
        self._key = key
        self._priority = priority
        self._uniform = key is None and priority is None
        self._timeout = timeout
        self._max_streams = max_streams
        self._start_afresh()
        in_each_child(self._start_afresh)
        self._refusals = Refusals(details=details, random=random.Random())
        self._fault = Faults("GuardMiddleware").report

    def __repr__(self) -> str:
        return f"<GuardMiddleware {self.guard!r}, {self._streams.count} streams open>"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        guard = self.guard
        if environ.get("PATH_INFO") in self._exempt:
            return self.app(environ, start_response)
        if not guard.enabled:
            return self._serve_unguarded(environ, start_response)
        key, priority = _ANY if self._uniform else self._kind_of(environ)
        refusal = guard.refused_again(key, priority) if guard.standing else None
        if refusal is None:
            admission = Admission(guard, self._call(environ, key, priority))
            refusal = self._enter(admission, environ)
            if refusal is None:
                return self._serve(admission, environ, start_response)
        return self._refuse(refusal, environ, start_response)

    def _kind_of(self, environ: Environ) -> tuple[str, Priority]:
        try:
            key = "" if self._key is None else self._key(environ)
            priority = Priority.NORMAL if self._priority is None else self._priority(environ)
            if not isinstance(key, str) or not isinstance(priority, Priority):
                raise TypeError(f"not a key and a Priority: {key!r}, {priority!r}")
        except BaseException as error:
            self._fault("the request's key or priority", error)
            return _ANY
        return key, priority

    def _call(self, environ: Environ, key: str, priority: Priority) -> Call:
        arrival = self.guard.now()
        try:
            age = age_of(environ)
            if self._proxied:
                age = max(age, self._proxy_clock.age(scope_of(environ), time.time()))
            arrival -= age
        except BaseException as error:
            self._fault("the request's arrival", error)
        deadline = None if self._timeout is None else arrival + self._timeout
        return Call(key, priority, arrival, deadline)

    def _enter(self, admission: Admission, environ: Environ) -> Rejected | None:
        """Wait for the admission; return the refusal, also of a request whose client has left."""
        try:
            refusal = self.guard.enter(admission)
            stood = admission.admission_time or admission.queue_time > _IMPATIENCE
            if refusal is None and stood and not self.guard.dry_run and has_left(environ):
                admission.settle(Outcome.IGNORED)
                return Rejected(Reason.DEADLINE)
        except Exception as error:
            self._fault("admission", error)
            return None
        except BaseException:
            # What ends the thread or greenlet, say a worker's own time limit, is no fault, and no request goes on.
            admission.settle(Outcome.IGNORED)
            raise
        return refusal

    def _serve(self, admission: Admission, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        response = Response(admission, start_response, self._streams)
        deadline = admission.call.deadline
        outer = current_admission.set(admission)
        outer_deadline = None if deadline is None else current_deadline.set(deadline)
        try:
            body = self.app(environ, response.start)
        except BaseException as error:
            response.closed(error)
            raise
        finally:
            current_admission.reset(outer)
            if outer_deadline is not None:
                current_deadline.reset(outer_deadline)
        return response.followed(body, environ)

    def _serve_unguarded(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve with the guard off: the application's deadline is its own, and stays."""
        if self._timeout is None:
            return self.app(environ, start_response)
        # Never admitted, so that it counts nowhere and ends nothing.
        return self._serve(Admission(self.guard, self._call(environ, *_ANY)), environ, start_response)

    def _refuse(self, error: Rejected, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            headers, body = self._refusals.render(error, json="json" in environ.get("HTTP_ACCEPT", ""))
            lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        except BaseException as fault:
            self._fault("a refusal's rendering", fault)
            lines, body = [("Content-Type", "text/plain"), ("Content-Length", "0")], b""
        start_response(_STATUS_LINE, lines)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    def _start_afresh(self) -> None:
        # Anew, since the parent's streams may yet be closed in a forked child.
        self._streams = OpenStreams(self._max_streams)
