"""One request under way, as telemetry sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from perfguard.admission import Admission
from perfguard.context import current_admission
from perfguard.telemetry import names
from perfguard.telemetry._described import Described
from perfguard.telemetry._labels import known_scheme

if TYPE_CHECKING:
    from perfguard.telemetry._recorder import Recorder


class Live:
    """One request under way: from its admission to the last byte of its response.

    It belongs to one request. `end` may be called from any thread or task.

    Args:
        recorder: Where it counts.
        admission: Its passage through the guard.
        described: What its scope or environ tells.
        task: The task that serves it, `None` on a thread.

    Attributes:
        admission: Its passage through the guard.
        arrival: When it reached this host, in seconds of the guard's clock.
        context: The context with its span, in which it is served.
        described: What its scope or environ tells.
        kind: Its method and scheme, as labels.
        own: Whether the span was opened for it, rather than found open.
        parent: The context in which its span was started.
        recorder: Where it counts.
        span: Its server span.
        start_ns: When it reached this host, in nanoseconds since the epoch.
        task: The task that serves it, `None` on a thread.
    """

    __slots__ = (
        "_ended",
        "_outer",
        "admission",
        "arrival",
        "context",
        "described",
        "kind",
        "own",
        "parent",
        "recorder",
        "span",
        "start_ns",
        "task",
    )

    admission: Admission
    arrival: float
    context: Context
    described: Described
    kind: tuple[str, str]
    own: bool
    parent: Context
    recorder: Recorder
    span: Span
    start_ns: int
    task: asyncio.Task[Any] | None
    _ended: bool
    _outer: Context | None

    def __init__(self, recorder: Recorder, admission: Admission, described: Described, task: Any) -> None:
        self.recorder = recorder
        self.admission = admission
        self.described = described
        self.task = task
        attributes = described.attributes
        self.kind = attributes[names.METHOD], known_scheme(attributes[names.SCHEME])
        self._ended = False
        self._outer = None

    @property
    def recorded(self) -> bool:
        """Whether there is a span to say more in, or to be made after all."""
        return self.span.is_recording() or self.admission.kept is not None

    def attach(self) -> None:
        """Make its span the current one, up to `detach` in the same context."""
        if self.own:
            self._outer = contexts.get_current()
            contexts.attach(self.context)

    def detach(self, *, here: bool = False) -> None:
        """Make current what was current before, unless this is another context.

        A coroutine that is thrown away is closed in another context, where OpenTelemetry
        would log an error (open-telemetry/opentelemetry-python#2606). And generators of
        other instrumentations leave their span current when they yield, so that a token
        of ours is not always the one to be given back next.

        Args:
            here: Whether this is certain to be the context of `attach`.
        """
        outer, self._outer = self._outer, None
        if outer is None:
            return
        if here or get_current_span() is self.span or current_admission.get() is self.admission:
            contexts.attach(outer)

    def __enter__(self) -> Self:
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def end(self, status: int, error: BaseException | None) -> None:
        """Record the request; from the second time on it does nothing.

        Args:
            status: The status of its response, 0 without one.
            error: What ended it, if no response did.
        """
        if not self._ended:
            self._ended = True
            if self.admission.admitted_at is None:
                # With the guard off nobody else says so, and the next request may be served in this one's context.
                self.admission.settled = True
            self.recorder.end(self, status, error)
