"""The guard as Django middleware, of either colour."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextvars import Token
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse

from perfguard._arrival import ProxyClock
from perfguard._body import OpenStreams
from perfguard._environ import age_of, has_left, scope_of
from perfguard._environment import check_environment
from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard._http import STATUS, Refusals
from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving, current_admission, current_deadline
from perfguard.errors import Rejected
from perfguard.guard import Guard
from perfguard.outcome import Call, Outcome, Reason
from perfguard.queueing.place import Place
from perfguard_django.options import Options, options, said
from perfguard_django.responses import follow, refusal
from perfguard_django.routes import UNMATCHED, RouteTable, Target

# An operator's mistake shows when the server loads the project, not once it serves.
check_environment()

_IMPATIENCE = 0.02
"""Seconds in a queue after which it is worth a look whether the client is still there."""


class GuardMiddleware:
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

    guard: Guard
    get_response: Callable[[HttpRequest], Any]
    _options: Options
    _routes: RouteTable
    _proxy_clock: ProxyClock
    _streams: OpenStreams
    _refusals: Refusals
    _fault: Callable[[str, BaseException], object]
    _is_async: bool

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._options = options(said())
        self._fault = Faults("GuardMiddleware").report
        self._routes = RouteTable(self._options.exempt, self._fault)
        self._proxy_clock = ProxyClock(self._options.trusted_proxies)
        self._refusals = Refusals(details=self._options.details, random=random.Random())
        self.guard = self._options.guard
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._start_afresh()
        in_each_child(self._start_afresh)

    def __repr__(self) -> str:
        return f"<GuardMiddleware {self.guard!r}, {self._streams.count} streams open>"

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response, or in the asynchronous colour an awaitable of it."""
        request.perfguard = self.guard  # type: ignore[attr-defined]
        return self._respond_async(request) if self._is_async else self._respond(request)

    def _respond(self, request: HttpRequest) -> Any:
        target = self._target(request)
        if target is None:
            return self.get_response(request)
        if not self.guard.enabled:
            with _Until(self._call(request, target).deadline):
                return self.get_response(request)
        rejected = self._standing(target)
        if rejected is None:
            admission = Admission(self.guard, self._call(request, target))
            rejected = self._enter(admission, request)
            if rejected is None:
                return self._serve(admission, request)
        return self._refused(rejected, request)

    async def _respond_async(self, request: HttpRequest) -> Any:
        target = self._target(request)
        if target is None:
            return await self.get_response(request)
        if not self.guard.enabled:
            with _Until(self._call(request, target).deadline):
                return await self.get_response(request)
        rejected = self._standing(target)
        if rejected is None:
            admission = Admission(self.guard, self._call(request, target))
            rejected = await self._acquire(admission)
            if rejected is None:
                return await self._serve_async(admission, request)
        return self._refused(rejected, request)

    def _target(self, request: HttpRequest) -> Target | None:
        """Return what a request is for; `None` where it is to pass untouched."""
        if not self.guard.enabled and self._options.timeout is None:
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

    def _call(self, request: HttpRequest, target: Target) -> Call:
        arrival = self.guard.now()
        try:
            age = age_of(request.META)
            if self._proxy_clock:
                scope = getattr(request, "scope", None) or scope_of(request.META)
                age = max(age, self._proxy_clock.age(scope, time.time()))
            arrival -= age
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("the request's arrival", error)
        timeout = self._options.timeout
        return Call(target.key, target.priority, arrival, None if timeout is None else arrival + timeout)

    def _enter(self, admission: Admission, request: HttpRequest) -> Rejected | None:
        """Wait for the admission; return the refusal, also of a request whose client has left."""
        try:
            rejected = self.guard.enter(admission)
            stood = admission.admission_time or admission.queue_time > _IMPATIENCE
            if rejected is None and stood and not self.guard.dry_run and has_left(request.META):
                admission.settle(Outcome.IGNORED)
                return Rejected(Reason.DEADLINE)
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("admission", error)
            return None
        except BaseException:
            # It ends the thread or greenlet, as a worker's own time limit does: no request goes on.
            admission.settle(Outcome.IGNORED)
            raise
        return rejected

    async def _acquire(self, admission: Admission) -> Rejected | None:
        """Wait as `_enter` does; Django itself cancels the task of a client that leaves."""
        try:
            opening = self.guard.begin(admission)
        except Exception as error:  # noqa: BLE001 - Fail open.
            self._fault("admission", error)
            return None
        return await self.guard.queue(admission, opening) if isinstance(opening, Place) else opening

    def _serve(self, admission: Admission, request: HttpRequest) -> Any:
        try:
            with Serving(admission):
                response = self.get_response(request)
        except BaseException as error:
            admission.settle(outcome_of(type(error)))
            raise
        return self._followed(response, admission)

    async def _serve_async(self, admission: Admission, request: HttpRequest) -> Any:
        try:
            with Serving(admission):
                response = await self.get_response(request)
        except BaseException as error:
            admission.settle(outcome_of(type(error)))
            raise
        return self._followed(response, admission)

    def _followed(self, response: Any, admission: Admission) -> Any:
        try:
            follow(response, admission, self._streams)
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

    def _start_afresh(self) -> None:
        # Anew, since the parent's streams may yet be closed in a forked child.
        self._streams = OpenStreams(self._options.max_streams)


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
