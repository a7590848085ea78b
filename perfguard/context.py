"""What a request carries down to the code that serves it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Self

from perfguard.admission import Admission
from perfguard.clock import monotonic

current_deadline: ContextVar[float | None] = ContextVar("perfguard_deadline", default=None)
"""The instant, in `time.monotonic` seconds, after which nobody wants the answer; or `None`."""


def remaining() -> float | None:
    """Return the seconds left until the current deadline, `None` if there is none."""
    deadline = current_deadline.get()
    return None if deadline is None else deadline - monotonic()


current_admission: ContextVar[Admission | None] = ContextVar("perfguard_admission", default=None)
"""The passage of the current request through its guard; `None` outside a request."""


def report_wait(seconds: float) -> None:
    """Say that the current request waited inside this process, as for a connection of a pool.

    The limit then knows a queue from slower work, and need not find out. Outside a
    guarded request it does nothing. Safe from any thread that has the request's context.

    Args:
        seconds: The wait; may be told in parts.

    Raises:
        ConfigurationError: `seconds` is negative or not finite.
    """
    admission = current_admission.get()
    if admission is not None:
        admission.waited(seconds)


def keep_trace(reason: str) -> None:
    """Let the trace of the current request be recorded, though it was not sampled.

    Its server span is then recorded at its end, if the sampler takes spans with the
    attribute `perfguard.kept`, as `perfguard.telemetry.PerfguardSampler` does. The first
    reason stays. Outside a guarded request it does nothing. Safe from any thread that has
    the request's context.

    Args:
        reason: Why, in a word of few, such as `"cut"` or `"breaker_open"`.
    """
    admission = current_admission.get()
    if admission is not None and admission.kept is None:
        admission.kept = reason


class Serving:
    """The block in which a request is served: it carries the admission and its deadline.

    What follows the service to its end overrides `close`, which still finds both.

    Args:
        admission: The request's passage.
    """

    __slots__ = ("_admission", "_outer", "_outer_deadline")

    _admission: Admission
    _outer: Token[Admission | None]
    _outer_deadline: Token[float | None] | None

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._outer_deadline = None

    def __enter__(self) -> Self:
        deadline = self._admission.call.deadline
        self._outer = current_admission.set(self._admission)
        if deadline is not None:
            self._outer_deadline = current_deadline.set(deadline)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            self.close(error)
        finally:
            # A coroutine that is thrown away is closed in another context, which has neither.
            if current_admission.get() is self._admission:
                current_admission.reset(self._outer)
                if self._outer_deadline is not None:
                    current_deadline.reset(self._outer_deadline)

    def close(self, error: BaseException | None) -> None:
        """End what the block is about, after it returned or raised; nothing here."""
