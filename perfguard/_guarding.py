"""What guards the requests of an application, whatever their protocol."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from perfguard._arrival import ProxyClock
from perfguard._body import OpenStreams
from perfguard._environ import Environ, age_of, has_left, scope_of
from perfguard._environment import check_environment
from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard._http import Refusals
from perfguard._options import EXEMPT, check_options, paths_of
from perfguard._recording import Recording
from perfguard.admission import Admission
from perfguard.errors import Rejected
from perfguard.guard import Guard
from perfguard.outcome import Call, Outcome, Priority, Reason

if TYPE_CHECKING:
    from perfguard.telemetry._response import EnvironRecorder
    from perfguard.telemetry.telemetry import Telemetry


class Counted(Protocol):
    """What counts open streams."""

    @property
    def count(self) -> int:
        """How many are open."""


Streams = TypeVar("Streams", bound=Counted)

# An operator's mistake shows when the server loads the application, not once it serves.
check_environment()

_IMPATIENCE = 0.02
"""Seconds in queues elsewhere after which it is worth a look whether the client is still there."""


class Guarding(Generic[Streams]):
    """What middleware of every protocol has: a guard, what it was told, and its open streams.

    Args:
        guard: What decides; a `Guard()` of its own if `None`.
        streams: Makes the count of open streams, given how many may be.
        exempt: Paths that pass untouched.
        trusted_proxies: Addresses or networks (or `"unix"`) whose stamp is believed.
        key: Maps a request to its kind.
        priority: Maps a request to its priority.
        timeout: Seconds from arrival after which nobody wants the answer, or `None`.
        max_streams: How many streamed responses may be open.
        details: Whether a refusal's body names its reason.

    Raises:
        ConfigurationError: An argument is wrong.
    """

    guard: Guard
    _exempt: frozenset[str]
    _proxy_clock: ProxyClock
    _proxied: bool
    _key: Callable[[Any], str] | None
    _priority: Callable[[Any], Priority] | None
    _uniform: bool
    _timeout: float | None
    _fault: Callable[[str, BaseException], object]
    _streams: Streams
    _refusals: Refusals
    _renew: Callable[[], tuple[Streams, Refusals]]

    def __init__(
        self,
        guard: Guard | None,
        streams: Callable[[int], Streams],
        *,
        exempt: Iterable[str] = EXEMPT,
        trusted_proxies: Iterable[str] = (),
        key: Callable[[Any], str] | None = None,
        priority: Callable[[Any], Priority] | None = None,
        timeout: float | None = None,
        max_streams: int = 1000,
        details: bool = False,
    ) -> None:
        check_options(guard, timeout, max_streams=max_streams, details=details, key=key, priority=priority)
        self._exempt = paths_of(exempt)
        self._proxy_clock = ProxyClock(trusted_proxies)
        self._proxied = bool(self._proxy_clock)
        self.guard = Guard() if guard is None else guard
        self._key = key
        self._priority = priority
        self._uniform = key is None and priority is None
        self._timeout = timeout
        self._fault = Faults("GuardMiddleware").report
        self._renew = lambda: (streams(max_streams), Refusals(details=details, random=random.Random()))
        self._start_afresh()
        in_each_child(self._start_afresh)

    def __repr__(self) -> str:
        return f"<GuardMiddleware {self.guard!r}, {self._streams.count} streams open>"

    def _start_afresh(self) -> None:
        # The parent's streams may yet be closed in a forked child, and its chance is the parent's.
        self._streams, self._refusals = self._renew()


class GuardingEnvirons(Guarding[OpenStreams]):
    """What middleware has besides that is told of a request by a WSGI environ, or by what Django makes of a scope."""

    _recording: Recording[EnvironRecorder]

    def __init__(self, guard: Guard | None, *, telemetry: Telemetry | bool = True, **options: Any) -> None:
        super().__init__(guard, OpenStreams, **options)
        decides, proxies = self.guard, self._proxy_clock
        self._recording = Recording(telemetry, lambda chosen: chosen.environs(decides, proxies))

    def _call(self, environ: Environ, key: str, priority: Priority, scope: dict[str, Any] | None = None) -> Call:
        arrival, proxied = self.guard.now(), 0.0
        try:
            age = age_of(environ)
            if self._proxied:
                proxied = max(0.0, self._proxy_clock.age(scope or scope_of(environ), time.time()) - age)
            arrival -= age + proxied
        except BaseException as error:
            self._fault("the request's arrival", error)
        return Call(key, priority, arrival, None if self._timeout is None else arrival + self._timeout, proxied)

    def _enter(self, admission: Admission, environ: Environ) -> Rejected | None:
        """Wait for the admission; return the refusal, also of a request whose client has left."""
        try:
            refusal = self.guard.enter(admission)
            stood = admission.admission_time or admission.queue_time > _IMPATIENCE
            if refusal is None and stood and not self.guard.dry_run and has_left(environ):
                admission.settle(Outcome.IGNORED)
                return _ClientLeft(Reason.DEADLINE)
        except Exception as error:
            self._fault("admission", error)
            return None
        except BaseException:
            # What ends the thread or greenlet, say a worker's own time limit, is no fault, and no request goes on.
            admission.settle(Outcome.IGNORED)
            raise
        return refusal

    def _record_refusal(self, refusal: Rejected, call: Call | None, environ: Environ) -> None:
        """Record a refusal; what was refused unseen has no call yet."""
        recorder = self._recording.current()
        if recorder is None:
            return
        if isinstance(refusal, _ClientLeft) and call is not None:
            recorder.left(call, environ)
        elif count := recorder.due():
            call = self._call(environ, "", Priority.NORMAL) if call is None else call
            recorder.refused(refusal.reason, call, environ, count)


class _ClientLeft(Rejected):
    """Nobody waits for the answer any more."""
