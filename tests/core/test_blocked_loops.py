"""Event loops that share a guard while one of them is blocked: a loop that a test does not run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from perfguard import Admission, AdmissionQueue, Call, Guard, KeyedLimiter, Limiter, Outcome, Priority
from perfguard._waiters.tasks import LATE, TICK, Lane
from perfguard.limits import FixedLimit
from perfguard.queueing import Place
from perfguard.queueing.discipline import PriorityLine
from perfguard.testing import ManualClock
from tests.manual_loop import ManualLoop, turns

ENOUGH_TURNS = 20


def limiter(key: str = "") -> Limiter:
    return Limiter(FixedLimit(1), AdmissionQueue(target=9.0, max_wait=9.0), key=key)


class Shared:
    """A guard of one permit, which a thread holds, and loops on which calls wait for it."""

    def __init__(self, policy: Limiter | KeyedLimiter) -> None:
        self.clock = ManualClock()
        self.guard = Guard(policy, clock=self.clock)
        self.loops: list[ManualLoop] = []
        self.started: list[str] = []
        self.running: list[Admission] = []

    def hold(self, key: str = "") -> Admission:
        """Take a permit on this thread."""
        admission = self.guard.admit(Call(key=key))
        self.guard.enter(admission)
        return admission

    def loop(self) -> ManualLoop:
        """Make one more loop."""
        self.loops.append(ManualLoop(self.clock))
        return self.loops[-1]

    def come(self, loop: ManualLoop, name: str, key: str = "") -> asyncio.Task[None]:
        """Let a call join the queue from a loop, which then stands still."""
        task = loop.create_task(self._call(name, key))
        loop.run_until_complete(turns(1))
        return task

    def run(self, loop: ManualLoop) -> None:
        """Let a loop go round, with a look at who waited too long."""
        loop.run_until_complete(turns(ENOUGH_TURNS))
        self.clock.advance(TICK)
        loop.run_until_complete(turns(ENOUGH_TURNS))

    def end(self) -> None:
        """Let the oldest call end."""
        self.running.pop(0).settle(Outcome.SUCCESS)

    async def _call(self, name: str, key: str) -> None:
        admission = self.guard.admit(Call(key=key))
        await admission.acquire()
        self.started.append(name)
        self.running.append(admission)


@pytest.fixture
def share() -> Iterator[Callable[..., Shared]]:
    """Make what loops share; they are run to their end afterwards."""
    made: list[Shared] = []

    def make(policy: Limiter | KeyedLimiter | None = None) -> Shared:
        made.append(Shared(limiter() if policy is None else policy))
        return made[-1]

    yield make
    for shared in made:
        for loop in shared.loops:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(turns(ENOUGH_TURNS))
            loop.close()


def test_a_loop_is_served_though_another_one_that_is_blocked_came_first(share: Callable[..., Shared]) -> None:
    """Its own calls are those that the blocked loop's handler holds up, and no others."""
    shared = share()
    held, blocked, free = shared.hold(), shared.loop(), shared.loop()
    shared.come(blocked, "blocked")
    shared.come(free, "free")

    held.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    shared.run(free)

    assert shared.started == ["free"]


def test_a_thread_is_served_though_a_blocked_loop_came_first(share: Callable[..., Shared]) -> None:
    """It would wait until the loop's calls have waited too long."""
    shared = share()
    held, blocked = shared.hold(), shared.loop()
    shared.come(blocked, "blocked")

    held.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    thread = threading.Thread(target=shared.hold, daemon=True)
    thread.start()
    thread.join(30.0)

    assert not thread.is_alive()


def test_a_loop_that_was_asked_a_moment_ago_keeps_its_turn(share: Callable[..., Shared]) -> None:
    """It is not blocked: whoever came first goes first."""
    shared = share()
    held, first, second = shared.hold(), shared.loop(), shared.loop()
    shared.come(first, "first")
    shared.come(second, "second")

    held.settle(Outcome.SUCCESS)
    shared.clock.advance(LATE / 2)
    second.run_until_complete(turns(ENOUGH_TURNS))

    assert shared.started == []


def test_a_loop_that_was_passed_over_is_served_once_it_turns(share: Callable[..., Shared]) -> None:
    """Nothing of it is lost."""
    shared = share()
    held, blocked, free = shared.hold(), shared.loop(), shared.loop()
    shared.come(blocked, "blocked")
    shared.come(free, "free")
    held.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    shared.run(free)

    shared.end()
    shared.run(free)
    shared.run(blocked)

    assert shared.started == ["free", "blocked"]


def test_no_permit_is_lost_where_a_loop_is_passed_over(share: Callable[..., Shared]) -> None:
    """Each call has one, and gives one back."""
    shared = share()
    held, blocked, free = shared.hold(), shared.loop(), shared.loop()
    shared.come(blocked, "blocked")
    shared.come(free, "free")
    held.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    counts = []
    for loop in (free, blocked):
        shared.run(loop)
        counts.append(shared.guard.snapshot().in_flight)
        shared.end()

    assert counts == [1, 1]
    assert (shared.guard.snapshot().in_flight, shared.guard.snapshot().queued) == (0, 0)


def test_the_calls_of_each_loop_keep_their_order_where_one_is_passed_over(share: Callable[..., Shared]) -> None:
    """Those of the blocked loop among themselves, and those of the other."""
    shared = share()
    held, blocked, free = shared.hold(), shared.loop(), shared.loop()
    for number in ("1", "2"):
        shared.come(blocked, "blocked " + number)
        shared.come(free, "free " + number)
    held.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    for loop in (free, free, blocked, blocked):
        shared.run(loop)
        shared.end()

    assert shared.started == ["free 1", "free 2", "blocked 1", "blocked 2"]


def test_of_several_blocked_loops_all_are_passed_over(share: Callable[..., Shared]) -> None:
    """The third in line is served."""
    shared = share()
    held, free = shared.hold(), shared.loop()
    for number in range(2):
        shared.come(shared.loop(), f"blocked {number}")
    shared.come(free, "free")
    held.settle(Outcome.SUCCESS)
    for _ in range(2):
        shared.clock.advance(2 * LATE)
        shared.run(free)

    assert shared.started == ["free"]


def test_a_key_is_served_though_a_blocked_loop_waits_at_another(share: Callable[..., Shared]) -> None:
    """Keys share the loops, not their calls."""
    shared = share(KeyedLimiter(limiter))
    held = [shared.hold("a"), shared.hold("b")]
    blocked, free = shared.loop(), shared.loop()
    shared.come(blocked, "blocked", key="a")
    shared.come(free, "free", key="b")

    for each in held:
        each.settle(Outcome.SUCCESS)
    shared.clock.advance(2 * LATE)
    shared.run(free)

    assert shared.started == ["free"]


def test_a_loop_that_reads_the_network_before_it_starts_more_is_not_late(share: Callable[..., Shared]) -> None:
    """It turns, though it starts nothing yet."""
    shared = share()
    loop = shared.loop()
    lane = Lane(loop, dispatch=lambda lane, budget: 0, expire=lambda: False, clock=shared.clock)
    late: list[bool] = []
    states: list[str] = []

    async def main() -> None:
        lane.started(shared.clock())
        shared.clock.advance(0.1)  # A heavy handler: what came meanwhile is read first.
        await turns(1)
        lane.poke(shared.clock())
        shared.clock.advance(2 * LATE)
        late.append(lane.late(shared.clock()))
        await turns(1)
        late.append(lane.late(shared.clock()))
        states.append(repr(lane))

    loop.run_until_complete(main())

    assert "draining" in states[0]
    assert late == [True, False]


def test_a_place_that_has_waited_too_long_does_not_go_next_beside_a_late_loop() -> None:
    """It is refused at the next look."""
    queue = AdmissionQueue(max_wait=1.0)
    queue.offer(Call(), 0.0)

    assert queue.head_beside(2.0, ()) is None


@pytest.mark.parametrize("lifo", [False, True])
def test_a_line_is_walked_in_the_order_in_which_its_places_go(*, lifo: bool) -> None:
    """By priority, and without those that were withdrawn."""
    line = PriorityLine()
    low, gone, old, new = (
        Place(Call(priority=priority), 0.0)
        for priority in (Priority.LOW, Priority.NORMAL, Priority.NORMAL, Priority.NORMAL)
    )
    for place in (low, old, gone, new):
        line.append(place)
    line.withdraw(gone)

    assert list(line.waiting(lifo=lifo)) == ([new, old, low] if lifo else [old, new, low])
