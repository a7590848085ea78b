"""The thread that sees an event loop stuck, while it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from perfguard.clock import monotonic
from perfguard.telemetry.stall import Ground, Stall, frame_of
from perfguard.telemetry.ticks import StallRule, Ticks

Task = asyncio.Task[Any]

Report = Callable[[Stall, Task | None], object]
"""Receives each stall and the task that the loop runs, on the watchdog's thread."""


class Watchdog:
    """Takes the stack of a loop's thread when the loop is stuck, once for each stall.

    It wakes once in each threshold, and ends by itself within a second after the loop
    has ceased to run. A call that holds the interpreter's lock for as long as it lasts is not
    seen, since no thread runs meanwhile.

    Args:
        loop: The running event loop; the thread that makes the watchdog is the loop's.
        ticks: What the loop owes.
        threshold: Seconds by which a tick must be late.
        report: Receives the stalls.
        fault: Receives what `report` and the interpreter raise.

    Attributes:
        ground: Where the loop calls what it runs; `None` until its first tick.
        over: Whether it is to end, or has ended, since the loop has; it may be set from any thread.
    """

    __slots__ = ("_fault", "_loop", "_report", "_rule", "_thread", "_ticks", "ground", "over")

    ground: Ground | None
    over: bool
    _loop: asyncio.AbstractEventLoop
    _ticks: Ticks
    _rule: StallRule
    _report: Report
    _fault: Callable[[str, BaseException], object]
    _thread: int

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ticks: Ticks,
        *,
        threshold: float,
        report: Report,
        fault: Callable[[str, BaseException], object],
    ) -> None:
        self.ground = None
        self.over = False
        self._loop = loop
        self._ticks = ticks
        self._rule = StallRule(threshold)
        self._report = report
        self._fault = fault
        self._thread = threading.get_ident()

    def start(self) -> None:
        """Begin to look, on a thread that does not keep the process alive."""
        threading.Thread(target=self._run, name="perfguard-loop-watchdog", daemon=True).start()

    def _run(self) -> None:
        while True:
            # Waking from a sleep costs a third less than from a wait for an event.
            time.sleep(self._rule.pause(monotonic(), self._ticks.due))
            if self.over or not self._loop.is_running():
                self.over = True
                return
            try:
                self._look()
            except BaseException as error:
                self._fault("the watchdog", error)

    def _look(self) -> None:
        due, now = self._ticks.due, monotonic()
        if self.ground is None or not self._rule.begins(now, due):
            return
        task = asyncio.current_task(self._loop)
        frame = frame_of(self._thread)
        frames = [] if frame is None else self.ground.above(frame)
        stall = Stall.of(frames, now - due) if frames else None
        # What was seen after the stall belongs to something else.
        if stall is not None and self._ticks.due == due:
            self._report(stall, task)
