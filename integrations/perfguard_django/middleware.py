"""The guard as Django middleware, of either colour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import Token
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from perfguard._body import OpenStreams
from perfguard._guarding import GuardingEnvirons
from perfguard._http import STATUS
from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving, current_admission, current_deadline
from perfguard.errors import Rejected
from perfguard.outcome import Call, Outcome
from perfguard.queueing.place import Place
from perfguard.targets import TARGET, UNMATCHED, Target
from perfguard_django.options import options, said
from perfguard_django.responses import follow, refusal
from perfguard_django.routes import RouteTable

if TYPE_CHECKING:
    from perfguard.telemetry._live import Live

_NOTHING = nullcontext()


class GuardMiddleware(GuardingEnvirons):
    """Guards each route by a limit of its own: first in `MIDDLEWARE`, and nothing else is needed.

    A request counts under the template of its route, so that a saturated route does not
    shed its neighbours. Under WSGI a thread whose request must wait waits in here; under
    ASGI a task does, and no thread is taken. It holds no state of any request. Inside of
    a guard around the application (`perfguard_django.asgi`, `perfguard_django.wsgi`, or
    perfguard's own), where requests have been admitted already, it lets them pass.

    It is configured by the setting `PERFGUARD`, and shows its guard as `request.perfguard`.

    Args:
        get_response: What Django passes.

    Raises:
        ConfigurationError: Something in `PERFGUARD` is wrong.
    """

    sync_capable = True
    async_capable = True

    get_response: Callable[[HttpRequest], Any]
    _routes: RouteTable
    _is_async: bool

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        chosen = options(said())
        super().__init__(
            chosen.guard,
            OpenStreams,
            trusted_proxies=chosen.trusted_proxies,
            timeout=chosen.timeout,
            max_streams=chosen.max_streams,
            details=chosen.details,
            telemetry=chosen.telemetry,
        )
        self._routes = RouteTable(chosen.exempt, self._fault)
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response, or in the asynchronous colour an awaitable of it."""
        request.perfguard = self.guard  # type: ignore[attr-defined]
        return self._respond_async(request) if self._is_async else self._respond(request)

    def _respond(self, request: HttpRequest) -> Any:
        target = self._target(request)
        if target is None:
            return self.get_response(request)
        if not self.guard.enabled:
            with _Until(self._requested(request, target).deadline):
                return self.get_response(request)
        rejected, call = self._standing(target), None
        if rejected is None:
            call = self._requested(request, target)
            admission = Admission(self.guard, call)
            rejected = self._enter(admission, request.META)
            if rejected is None:
                return self._serve(admission, request, target)
        self._record_refusal(rejected, call, _environ(request, target))
        return self._refused(rejected, request)

    async def _respond_async(self, request: HttpRequest) -> Any:
        target = self._target(request)
        if target is None:
            return await self.get_response(request)
        if not self.guard.enabled:
            with _Until(self._requested(request, target).deadline):
                return await self.get_response(request)
        rejected, call = self._standing(target), None
        if rejected is None:
            call = self._requested(request, target)
            admission = Admission(self.guard, call)
            rejected = await self._acquire(admission)
            if rejected is None:
                return await self._serve_async(admission, request, target)
        self._record_refusal(rejected, call, _environ(request, target))
        return self._refused(rejected, request)

    def _target(self, request: HttpRequest) -> Target | None:
        """Return what a request is for; `None` where it is to pass untouched."""
        if not self.guard.enabled and self._timeout is None:
            return None
        admission = current_admission.get()
        # One that is settled is of another request, whose context a server has handed on.
        if admission is not None and not admission.settled:
            return None
        try:
            target = self._routes.find(request.path_info, getattr(request, "urlconf", None))
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("the request's route", error)
            target = UNMATCHED
        return None if target.exempt else target

    def _standing(self, target: Target) -> Rejected | None:
        return self.guard.refused_again(target.key, target.priority) if self.guard.standing else None

    def _requested(self, request: HttpRequest, target: Target) -> Call:
        return self._call(request.META, target.key, target.priority, getattr(request, "scope", None))

    async def _acquire(self, admission: Admission) -> Rejected | None:
        """Wait as `_enter` does; Django itself cancels the task of a client that leaves."""
        try:
            opening = self.guard.begin(admission)
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("admission", error)
            return None
        return await self.guard.queue(admission, opening) if isinstance(opening, Place) else opening

    def _serve(self, admission: Admission, request: HttpRequest, target: Target) -> Any:
        live = self._begun(admission, _environ(request, target))
        try:
            with Serving(admission), live or _NOTHING:
                response = self.get_response(request)
        except BaseException as error:
            _raised(error, admission, live)
            raise
        return self._followed(response, admission, live)

    async def _serve_async(self, admission: Admission, request: HttpRequest, target: Target) -> Any:
        live = self._begun(admission, _environ(request, target), asyncio.current_task())
        try:
            with Serving(admission), live or _NOTHING:
                response = await self.get_response(request)
        except BaseException as error:
            _raised(error, admission, live)
            raise
        return self._followed(response, admission, live)

    def _begun(self, admission: Admission, environ: dict[str, Any], task: Any = None) -> Live | None:
        """Return the request under way, where somebody wants it recorded."""
        recorder = self._recorder
        return None if recorder is None or not recorder.active else recorder.begun(admission, environ, task)

    def _followed(self, response: Any, admission: Admission, live: Live | None) -> Any:
        try:
            follow(response, admission, self._streams, live)
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("the response", error)
            admission.settle(Outcome.IGNORED)
        return response

    def _refused(self, rejected: Rejected, request: HttpRequest) -> HttpResponse:
        try:
            return refusal(self._refusals, rejected, request)
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("a refusal's rendering", error)
            return HttpResponse(status=STATUS)


def _environ(request: HttpRequest, target: Target) -> dict[str, Any]:
    """Return what telemetry reads: what Django makes of a scope lacks the scheme, and neither has the target."""
    return {**request.META, "wsgi.url_scheme": request.scheme, TARGET: target}


def _raised(error: BaseException, admission: Admission, live: Live | None) -> None:
    admission.settle(outcome_of(type(error)))
    if live is not None:
        live.end(0, error)


class _Until:
    """The block of a request that is served with the guard off: its deadline holds all the same."""

    __slots__ = ("_deadline", "_outer")

    _deadline: float | None
    _outer: Token[float | None]

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline

    def __enter__(self) -> None:
        self._outer = current_deadline.set(self._deadline)

    def __exit__(self, *_: object) -> None:
        current_deadline.reset(self._outer)
