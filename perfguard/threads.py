"""Waits for a thread: what a request loses between a call handed to a pool and its start there.

Under load it is a queue that no server shows. Told to the guard, the limit takes it for
what it is, and `Settled.thread_time` and `Admission.thread_time` have it by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar, overload

import asgiref.sync

from perfguard.clock import monotonic
from perfguard.context import current_admission

_P = ParamSpec("_P")
_R = TypeVar("_R")


def submitted(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function for one call on another thread, which reports the time from now until it starts there.

    For pools that carry the caller's context over, as `asyncio.to_thread`,
    `anyio.to_thread.run_sync` and Starlette's `run_in_threadpool` do:
    `await run_in_threadpool(submitted(function), argument)`. Outside a guarded request
    nothing is reported. Safe from any thread.

    Args:
        function: What to call; it gets the arguments and returns or raises as ever.
    """
    return partial(_begun, monotonic(), function)


class SyncToAsync(asgiref.sync.SyncToAsync[_P, _R], Generic[_P, _R]):
    """asgiref's `SyncToAsync`, on the same threads, which reports the wait for one of them.

    Safe from any thread and event loop, as asgiref's.

    Args:
        func: The synchronous function.
        thread_sensitive: Whether all such calls share one thread, as asgiref's; an
            `executor` is for calls that do not.
        executor: The pool, instead of the event loop's own.
        context: The context in which to run, instead of a copy of the caller's. The
            request is found in there.

    Raises:
        TypeError: `func` is no synchronous callable, or `executor` does not go with `thread_sensitive`.
    """

    _call: asgiref.sync.SyncToAsync[..., _R]

    def __init__(
        self,
        func: Callable[_P, _R],
        thread_sensitive: bool = True,  # noqa: FBT001, FBT002 # asgiref's signature.
        executor: ThreadPoolExecutor | None = None,
        context: Context | None = None,
    ) -> None:
        # asgiref knows a context from 3.9 on.
        options = {} if context is None else {"context": context}
        super().__init__(func, thread_sensitive, executor, **options)
        self._call = asgiref.sync.SyncToAsync(_begun, thread_sensitive, executor, **options)

    async def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call the function on its thread."""
        return await self._call(monotonic(), self.func, *args, **kwargs)


@overload
def sync_to_async(
    func: None = None,
    *,
    thread_sensitive: bool = True,
    executor: ThreadPoolExecutor | None = None,
    context: Context | None = None,
) -> Callable[[Callable[_P, _R]], Callable[_P, Coroutine[Any, Any, _R]]]: ...


@overload
def sync_to_async(
    func: Callable[_P, _R],
    *,
    thread_sensitive: bool = True,
    executor: ThreadPoolExecutor | None = None,
    context: Context | None = None,
) -> Callable[_P, Coroutine[Any, Any, _R]]: ...


def sync_to_async(func: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Return asgiref's `sync_to_async`, by call or as a decorator, which reports the wait for a thread.

    The arguments and errors are those of `SyncToAsync`.
    """
    return partial(SyncToAsync, **options) if func is None else SyncToAsync(func, **options)


def _begun(since: float, function: Callable[..., _R], /, *args: Any, **kwargs: Any) -> _R:
    admission = current_admission.get()
    if admission is not None:
        admission.waited_for_thread(max(0.0, monotonic() - since))
    return function(*args, **kwargs)
