"""`def` endpoints whose wait for a thread is measured."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import iscoroutinefunction
from starlette.concurrency import run_in_threadpool

from perfguard.errors import ConfigurationError
from perfguard.marks import ATTRIBUTE
from perfguard.threads import submitted

_P = ParamSpec("_P")
_R = TypeVar("_R")

_OTHERS = (iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def threaded(endpoint: Callable[_P, _R]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """Make a `def` endpoint one that hands itself over to the pool, and reports its wait for a thread.

    Starlette runs it on the same threads as before, in the same context; the wait is in
    `Admission.thread_time` and `Settled.thread_time`, and the limit knows it. For functions
    and for methods of an `HTTPEndpoint`:

        @threaded
        def report(request): ...

    Args:
        endpoint: A function or method that is not async.

    Raises:
        ConfigurationError: It is anything else, or a generator.
    """
    if not waits_for_thread(endpoint):
        raise ConfigurationError("endpoint", endpoint, "must be a def function or method, and no generator")

    @functools.wraps(endpoint)
    async def handed_over(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return await run_in_threadpool(submitted(endpoint), *args, **kwargs)

    # Marks of the endpoint are found behind it, also those that are put on later.
    vars(handed_over).pop(ATTRIBUTE, None)
    return handed_over


def waits_for_thread(endpoint: object) -> bool:
    """Say whether frameworks call an endpoint on a thread of the pool: a plain function or method, to its core."""
    while inspect.isfunction(endpoint) or inspect.ismethod(endpoint):
        if any(kind(endpoint) for kind in _OTHERS):
            return False
        inner = getattr(endpoint, "__wrapped__", None)
        if inner is None:
            return True
        endpoint = inner
    return False
