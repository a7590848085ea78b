"""How a task waits for its place, and how admissions are paced by turns of its event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfguard.queueing.place import Place

TURN_BUDGET = 0.0005
"""Seconds of a turn of the loop for each call that started in it, before newcomers wait."""

BATCH_BUDGET = 0.005
"""Seconds of work that may start together, once the network has been read.

To read it costs the same however many requests came. The more of them wait in between,
the less it costs each, and the later the last of them hears of its refusal.
"""

QUIET_TURNS = 3
"""Turns without an arrival after which the network counts as read.

A new connection needs three: one to be accepted, one to be read, one for its task.
"""

DRAIN_LIMIT = 0.1
"""Seconds for which newcomers are held at most, while the network is read."""

TICK = 0.025
"""Seconds between two looks at places that have waited too long."""

LATE = 0.02
"""Seconds after which a loop that owes a turn is passed over: the queue time that is aimed at."""

Dispatch = Callable[["Lane", int], int]
"""Starts at most that many waiting calls of a lane; returns how many it started."""


class Lane:
    """Paces admissions on one event loop, so that the queue stands where it can be seen.

    A handler that computes holds the loop; while it runs, arrivals stand in the kernel,
    where no limit sees them. After a turn that took longer than the budget of the calls
    that started in it, newcomers are held in the admission queue until the network has
    been read (several turns without an arrival), for as long as the heavy turn took at
    most. Then as many calls start as fit the batch's budget, by the mean cost of a start.
    Calls that await at once never fill a budget and are never held.

    Belongs to its loop's thread; only `poke` and `late` may be called from another.

    Args:
        loop: The running event loop.
        dispatch: Starts waiting calls.
        expire: Refuses the places that have waited too long; says whether any still wait.
        clock: Seconds, monotonic.
    """

    __slots__ = (
        "_arrivals",
        "_asked_at",
        "_began",
        "_clock",
        "_cost",
        "_dispatch",
        "_drain_until",
        "_draining",
        "_expire",
        "_loop",
        "_poked",
        "_quiet",
        "_scheduled",
        "_started",
        "_thread",
        "_ticking",
    )

    _loop: asyncio.AbstractEventLoop
    _dispatch: Dispatch
    _expire: Callable[[], bool]
    _clock: Callable[[], float]
    _thread: int
    _scheduled: bool
    _ticking: bool
    _draining: bool
    _poked: bool
    _asked_at: float
    _began: float
    _drain_until: float
    _arrivals: int
    _quiet: int
    _started: int
    _cost: float

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        dispatch: Dispatch,
        expire: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._dispatch = dispatch
        self._expire = expire
        self._clock = clock
        self._thread = threading.get_ident()
        self._scheduled = self._ticking = self._draining = self._poked = False
        self._asked_at = self._began = self._drain_until = 0.0
        self._arrivals = self._quiet = self._started = 0
        self._cost = BATCH_BUDGET

    def __repr__(self) -> str:
        state = "draining" if self._draining else ("pacing" if self._scheduled else "idle")
        return f"<Lane {state}, {self._cost * 1e6:.0f} us a start>"

    @property
    def closed(self) -> bool:
        """Whether the loop is gone."""
        return self._loop.is_closed()

    def holds(self, now: float) -> bool:
        """Count an arrival; say whether it must wait for its turn though a permit is free."""
        self._arrivals += 1
        return self._draining or (self._scheduled and now - self._began > self._budget())

    def started(self, now: float) -> None:
        """Say that a call starts in this turn."""
        self._started += 1
        if not self._scheduled:
            self._began = now
            self._schedule()

    def attach(self, place: Place) -> None:
        """Make `place` wakeable; called under the guard's lock."""
        future = self._loop.create_future()
        place.signal = future
        place.lane = self
        place.wake = lambda: self._wake(future)
        # The call may have to wait though a permit is free; then nothing else would start it.
        self._schedule()
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)

    def late(self, now: float) -> bool:
        """Say whether the loop was asked for a turn so long ago that something blocks it."""
        return self._poked and now - self._asked_at > LATE

    def poke(self, now: float) -> None:
        """Ask for a turn, since a permit is free; safe from any thread."""
        if self._poked:
            return
        self._asked_at = now
        self._poked = True
        with suppress(RuntimeError):  # The loop is closed, or closes now.
            if threading.get_ident() == self._thread:
                self._schedule()
            else:
                self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _wake(self, future: asyncio.Future[None]) -> None:
        with suppress(RuntimeError):  # The loop is closed, or closes now.
            if threading.get_ident() == self._thread:
                _resolve(future)
            else:
                self._loop.call_soon_threadsafe(_resolve, future)

    def _turn(self) -> None:
        self._scheduled = False
        now = self._clock()
        if self._started:
            self._weigh(now)
        if self._draining and not self._drained(now):
            self._asked_at = now
            self._schedule()
            return
        asked = self._poked or self._ticking
        self._draining = self._poked = False
        self._began = now
        started = self._dispatch(self, self._share()) if asked else 0
        if started:
            self._started += started
            self._schedule()

    def _weigh(self, now: float) -> None:
        elapsed = now - self._began
        cost = elapsed / self._started
        # Up at once and down slowly: a batch that is too long is worse than one that is too short.
        self._cost = cost if cost > self._cost else self._cost + (cost - self._cost) / 8.0
        self._started = 0
        if cost > TURN_BUDGET or elapsed > BATCH_BUDGET:
            self._draining = True
            self._quiet = self._arrivals = 0
            self._drain_until = now + min(DRAIN_LIMIT, elapsed)

    def _budget(self) -> float:
        """Seconds that the present turn may take, as `_weigh` has it: light calls fill it by their number, too."""
        return min(BATCH_BUDGET, TURN_BUDGET * max(1, self._started))

    def _drained(self, now: float) -> bool:
        self._quiet = 0 if self._arrivals else self._quiet + 1
        self._arrivals = 0
        return self._quiet > QUIET_TURNS or now >= self._drain_until

    def _share(self) -> int:
        return max(1, min(64, round(BATCH_BUDGET / max(self._cost, 1e-6))))

    def _tick(self) -> None:
        self._ticking = self._expire()
        if self._ticking:
            self._loop.call_later(TICK, self._tick)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Lanes:
    """The lanes of one guard, one per event loop that uses it.

    Args:
        dispatch: Starts waiting calls of a lane.
        expire: Refuses the places that have waited too long.
        clock: Seconds, monotonic.
    """

    __slots__ = ("_by_loop", "_clock", "_dispatch", "_expire")

    _by_loop: dict[asyncio.AbstractEventLoop, Lane]
    _dispatch: Dispatch
    _expire: Callable[[], bool]
    _clock: Callable[[], float]

    def __init__(self, *, dispatch: Dispatch, expire: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._by_loop = {}
        self._dispatch = dispatch
        self._expire = expire
        self._clock = clock

    def current(self) -> Lane:
        """Return the lane of the running event loop.

        Raises:
            RuntimeError: No asyncio event loop runs on this thread.
        """
        loop = asyncio.get_running_loop()
        lane = self._by_loop.get(loop)
        if lane is None:
            self._by_loop = {each: own for each, own in list(self._by_loop.items()) if not own.closed}
            lane = self._by_loop[loop] = Lane(loop, dispatch=self._dispatch, expire=self._expire, clock=self._clock)
        return lane
