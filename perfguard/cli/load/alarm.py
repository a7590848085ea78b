"""A timer for an event loop that is exact to tens of microseconds, where the loops' own are to a millisecond."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """Calls back at an instant; setting it again replaces the instant. For the loop's thread alone."""

    def set(self, instant: float) -> None:
        """Ring at `instant`, in seconds of `time.monotonic`."""
        ...

    def close(self) -> None:
        """Never ring again, and free what is held."""
        ...


def make_alarm(callback: Callable[[], None]) -> Alarm:
    """The most exact alarm that this system has, for the running loop."""
    loop = asyncio.get_running_loop()
    if sys.platform == "linux":
        return TimerFd(loop, callback)
    return LoopTimer(loop, callback)


class LoopTimer:
    """The loop's own timer: to a millisecond or so, on any system."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self, instant: float) -> None:
        """See `Alarm.set`."""
        self.close()
        self._handle = self._loop.call_later(max(0.0, instant - time.monotonic()), self._callback)

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._handle is not None:
            self._handle.cancel()


class TimerFd:
    """A Linux timerfd, watched by the loop like a socket.

    `os.timerfd_create` exists from Python 3.13 only, hence ctypes; see timerfd_create(2).
    A disarmed or re-armed timerfd is not readable, so that the expiry count is never read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._settime = ctypes.CDLL(None, use_errno=True).timerfd_settime
        self._spec = _TimerSpec()
        self._pointer = ctypes.byref(self._spec)
        self._descriptor = _timer_descriptor()
        loop.add_reader(self._descriptor, self._ring)

    def set(self, instant: float) -> None:
        """See `Alarm.set`."""
        seconds = int(instant)
        self._spec.seconds = seconds
        self._spec.nanoseconds = int((instant - seconds) * 1e9)
        self._settime(self._descriptor, _ABSOLUTE, self._pointer, None)

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ring(self) -> None:
        self._spec.seconds = self._spec.nanoseconds = 0
        self._settime(self._descriptor, _ABSOLUTE, self._pointer, None)
        self._callback()


_ABSOLUTE = 1


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec` of a timer that does not repeat."""

    _fields_ = (
        ("repeat_seconds", ctypes.c_long),
        ("repeat_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


def _timer_descriptor() -> int:
    create = ctypes.CDLL(None, use_errno=True).timerfd_create
    descriptor = int(create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor
