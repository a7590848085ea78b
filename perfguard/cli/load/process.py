"""Runs a plan in a process of its own, on a core of its own, so that whoever asks for it does not disturb it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, overload

from perfguard.cli.load.closed_loop import measure_capacity
from perfguard.cli.load.open_loop import run_load
from perfguard.cli.load.plan import CapacityPlan, LoadPlan
from perfguard.cli.load.result import CapacityResult, LoadResult, OnProgress, Progress
from perfguard.errors import ConfigurationError, PerfguardError

_FILES = 65_536


class GeneratorDiedError(PerfguardError):
    """The process that made the load ended without a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """A `ConfigurationError` on its way through the pipe."""

    kind: type[ConfigurationError]
    name: str
    value: object
    remedy: str


@overload
def run_apart(plan: LoadPlan, on_progress: OnProgress | None = None, *, cpu: int | None = None) -> LoadResult: ...


@overload
def run_apart(
    plan: CapacityPlan, on_progress: OnProgress | None = None, *, cpu: int | None = None
) -> CapacityResult: ...


def run_apart(
    plan: LoadPlan | CapacityPlan, on_progress: OnProgress | None = None, *, cpu: int | None = None
) -> LoadResult | CapacityResult:
    """Run a plan in a fresh process, under uvloop where it is installed, and wait for the result.

    Args:
        plan: What to run.
        on_progress: Called in this process, about four times a second.
        cpu: The core that the process is pinned to; by default it may use any.

    Raises:
        GeneratorDiedError: The process ended without a result.
        ConfigurationError: What `run_load` and `measure_capacity` raise, raised here.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(plan, there, cpu), daemon=True)
    process.start()
    there.close()
    try:
        return _receive(here, on_progress)
    finally:
        here.close()
        process.terminate()
        process.join()


def _receive(pipe: Connection, on_progress: OnProgress | None) -> LoadResult | CapacityResult:
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            raise GeneratorDiedError("the load generator ended without a result") from None
        if isinstance(message, LoadResult | CapacityResult):
            return message
        if isinstance(message, _Refusal):
            raise message.kind(message.name, message.value, message.remedy)
        if on_progress is not None:
            on_progress(message)


def _work(plan: LoadPlan | CapacityPlan, pipe: Connection, cpu: int | None) -> None:
    """The process: progress and at last the result go through the pipe."""
    # Ctrl-C reaches the whole process group; the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    raise_file_limit()
    try:
        pipe.send(_run(_coroutine(plan, pipe.send)))
    except ConfigurationError as error:
        # An exception with arguments of its own does not survive pickling.
        pipe.send(_Refusal(kind=type(error), name=error.name, value=error.value, remedy=error.remedy))


def _coroutine(
    plan: LoadPlan | CapacityPlan, report: Callable[[Progress], None]
) -> Coroutine[Any, Any, LoadResult | CapacityResult]:
    if isinstance(plan, LoadPlan):
        return run_load(plan, report)
    return measure_capacity(plan, report)


def _run(work: Coroutine[Any, Any, LoadResult | CapacityResult]) -> LoadResult | CapacityResult:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def raise_file_limit() -> None:
    """Let this process open as many connections as the system allows it; a no-op where there is no such limit."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
