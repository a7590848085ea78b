"""The guard as WSGI middleware, for any WSGI application (PEP 3333) and server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from perfguard._body import OpenStreams, Response
from perfguard._checks import check_callable
from perfguard._guarding import GuardingEnvirons
from perfguard._http import STATUS
from perfguard._options import EXEMPT
from perfguard.admission import Admission
from perfguard.context import current_admission, current_deadline
from perfguard.errors import Rejected
from perfguard.guard import Guard
from perfguard.outcome import Priority

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_ANY = "", Priority.NORMAL

_STATUS_LINE = f"{STATUS} Service Unavailable"


class GuardMiddleware(GuardingEnvirons):
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
        telemetry: A `perfguard.telemetry.Telemetry`, which tells OpenTelemetry of each
            request; by default one of its own on the global providers. False for none.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    app: App

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
        telemetry: Telemetry | bool = True,
    ) -> None:
        check_callable("app", app, "must be a WSGI application")
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
            telemetry=telemetry,
        )
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        guard = self.guard
        if environ.get("PATH_INFO") in self._exempt:
            return self.app(environ, start_response)
        if not guard.enabled:
            return self._serve_unguarded(environ, start_response)
        key, priority = _ANY if self._uniform else self._kind_of(environ)
        refusal, call = guard.refused_again(key, priority) if guard.standing else None, None
        if refusal is None:
            call = self._call(environ, key, priority)
            admission = Admission(guard, call)
            refusal = self._enter(admission, environ)
            if refusal is None:
                return self._serve(admission, environ, start_response)
        self._record_refusal(refusal, call, environ)
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

    def _serve(self, admission: Admission, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        response = self._following(admission, environ, start_response)
        deadline = admission.call.deadline
        outer = current_admission.set(admission)
        outer_deadline = None if deadline is None else current_deadline.set(deadline)
        try:
            body = response.call(self.app, environ)
        except BaseException as error:
            response.failed(error)
            raise
        finally:
            current_admission.reset(outer)
            if outer_deadline is not None:
                current_deadline.reset(outer_deadline)
        return response.followed(body, environ)

    def _following(self, admission: Admission, environ: Environ, start_response: StartResponse) -> Response:
        """Return what follows a request to its end, and records it where somebody wants it."""
        recorder, response = self._recorder, None
        if recorder is not None and recorder.active:
            response = recorder.response(admission, environ, start_response, self._streams)
        return Response(admission, start_response, self._streams) if response is None else response

    def _serve_unguarded(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve with the guard off: the application's deadline is its own, and stays."""
        if self._timeout is None and (self._recorder is None or not self._recorder.active):
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
