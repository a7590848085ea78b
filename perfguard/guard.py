"""A pipeline made shareable: one lock, one clock, and listeners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from perfguard._environment import chosen
from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard._lock import DecisionLock
from perfguard._notifier import Notifier, SheddingLog
from perfguard._waiters import lanes, threads
from perfguard.admission import Admission
from perfguard.clock import Clock, UnfailingClock, checked, monotonic
from perfguard.errors import Rejected
from perfguard.events import Event, Listener
from perfguard.limits.limiter import Limiter
from perfguard.outcome import Call, Outcome, Priority, Reason
from perfguard.pipeline import Pipeline
from perfguard.policy import Policy, QueueingPolicy
from perfguard.queueing.place import Place
from perfguard.queueing.standing import StandingRefusals
from perfguard.snapshot import GuardSnapshot, combined

if TYPE_CHECKING:
    from perfguard._waiters.tasks import Lane, Lanes

_ANY = Call()


class Guard:
    """Protects whatever runs inside its admissions; shared by threads and event loops.

    Every decision is taken under one lock that is never held across a wait. An
    unexpected error inside a policy is logged once per kind and the call goes on
    unguarded; a listener that raises is logged once and otherwise ignored.

    Args:
        policies: Outermost first; `Limiter()` if none are given. They belong to this guard.
        name: What events and snapshots call it.
        listeners: Receive every event, outside the lock.
        clock: Returns seconds, monotonic; where it fails, the time stands still.
        dry_run: Decide and report, but refuse nothing and queue nothing. `None` reads
            `PERFGUARD_DRY_RUN` from the environment.
        enabled: `False` lets every call pass untouched. `None` reads `PERFGUARD_ENABLED`
            from the environment; on by default.

    Raises:
        ConfigurationError: An argument or a variable is not what it should be.
    """

    name: str
    enabled: bool
    dry_run: bool
    standing: StandingRefusals
    _pipeline: Pipeline
    _line: QueueingPolicy | None
    _fault: Callable[[str, BaseException], object]
    _notifier: Notifier
    _clock: Clock
    _lock: DecisionLock
    _lanes: Lanes | None
    _admitted: int
    _refused: Counter[Reason]
    _settled: Counter[Outcome]
    _since: float

    def __init__(
        self,
        *policies: Policy,
        name: str = "guard",
        listeners: Iterable[Listener] = (),
        clock: Clock = monotonic,
        dry_run: bool | None = None,
        enabled: bool | None = None,
    ) -> None:
        self.name = name
        self.dry_run = chosen("dry_run", dry_run, "PERFGUARD_DRY_RUN", default=False)
        self.enabled = chosen("enabled", enabled, "PERFGUARD_ENABLED", default=True)
        self._pipeline = Pipeline(*(policies or (Limiter(),)))
        self._line = self._pipeline.queueing
        self._fault = Faults(f"guard {name!r}").report
        self._notifier = Notifier(name, listeners, self._fault)
        self._clock = clock if clock is monotonic else UnfailingClock(checked(clock), self._fault)
        self._since = -inf
        self._forget_calls()
        in_each_child(self._start_afresh)

    def __repr__(self) -> str:
        mode = ("" if self.enabled else " off") + (" dry run" if self.dry_run else "")
        return f"<Guard {self.name}{mode} {self._pipeline!r}>"

    def admit(self, call: Call = _ANY) -> Admission:
        """Return the passage of one call, to be entered with `with` or `async with`.

        Entering raises `Rejected` if a policy refuses the call.
        """
        return Admission(self, call)

    def now(self) -> float:
        """Return the instant in this guard's clock, in seconds."""
        return self._clock()

    def snapshot(self) -> GuardSnapshot:
        """Return the state at this instant; safe from any thread."""
        with self._lock:
            self._reopen(self._clock())
            return combined(
                () if self._line is None else self._line.snapshots(self._clock()),
                name=self.name,
                enabled=self.enabled,
                dry_run=self.dry_run,
                admitted=self._admitted,
                refused=dict(self._refused),
                settled=dict(self._settled),
            )

    def enter(self, admission: Admission) -> Rejected | None:
        """Admit on this thread, or return the refusal; blocks while the call must wait."""
        opening = self._start(admission, None)
        if not isinstance(opening, Place):
            return opening
        try:
            while not threads.wait(opening, self._clock):
                self._expire()
        except BaseException:
            self._abandon(admission, opening)
            raise
        return admission.refused_at(opening)

    def refused_again(self, key: str, priority: Priority) -> Rejected | None:
        """Return the refusal that stands for such calls, `None` if a decision must be taken.

        It is what `begin` would return, at a fraction of the cost. Where listeners want
        an event of each refusal, none ever stands.
        """
        with self._lock:
            return self.standing.again(key, priority)

    def begin(self, admission: Admission) -> Place | Rejected | None:
        """Admit on the running event loop, or return where the call must wait, or the refusal."""
        return self._start(admission, self._lane())

    async def queue(self, admission: Admission, place: Place) -> Rejected | None:
        """Wait for the end of the queueing on the running event loop; return a refusal."""
        try:
            await place.signal
        except BaseException:
            self._abandon(admission, place)
            raise
        return admission.refused_at(place)

    def settle(self, admission: Admission, outcome: Outcome) -> None:
        """Take an admission back; called by the admission, once."""
        admitted_at = admission.admitted_at
        if admitted_at is not None and admitted_at >= self._since:
            try:
                self._take_back(admission, outcome)
            except BaseException as error:
                self._fault("settle", error)

    def _start(self, admission: Admission, lane: Lane | None) -> Place | Rejected | None:
        """Decide on a new call: start it, or return its place or its refusal."""
        events: list[Event] = []
        ended: list[Place] = []
        self._lock.acquire()
        try:
            now = self._clock()
            opening = self._decided(admission, now, lane, events)
            if opening is None:
                self._admit_at(admission, now, lane)
            else:
                if not isinstance(opening, Place):
                    self._refuse(admission, opening)
                ended = self._released(now)
                if lane is None:
                    ended += self._handed_over(now)
            if self._notifier.heard:
                events += self._notifier.opened(admission, opening, now)
                self._report(events, ended, now)
        finally:
            self._lock.release()
        if ended or events:
            self._finish(ended, events)
        return opening

    def _refuse(self, admission: Admission, error: Rejected) -> None:
        self._refused[error.reason] += 1
        admission.settled = True
        if self._pipeline.queues_first and not self._notifier.heard:
            self.standing.add(admission.call, error)

    def _reopen(self, now: float) -> None:
        """Forget the refusals that stood, since something changed; account for them."""
        for standing in self.standing.cleared():
            self._refused[standing.error.reason] += standing.count
            self._ask(self._pipeline.count_refusals, standing.call, standing.count, now)

    def _decided(
        self, admission: Admission, now: float, lane: Lane | None, events: list[Event]
    ) -> Place | Rejected | None:
        if not self.enabled:
            return None
        try:
            if self.dry_run:
                self._rehearse(admission, now, events)
                return None
            place = self._pipeline.admit(admission, now, hold=lane is not None and lane.holds(now))
            if place is not None:
                (threads if lane is None else lane).attach(place)
        except Rejected as error:
            # A traceback would tie the frames it passed into a cycle, for the collector to find.
            return error.with_traceback(None)
        except BaseException as error:
            self._fault("admit", error)
            return None
        return place

    def _rehearse(self, admission: Admission, now: float, events: list[Event]) -> None:
        refusal = self._pipeline.rehearse(admission, now)
        if refusal is not None:
            self._refused[refusal.reason] += 1
            if self._notifier.heard:
                events.append(self._notifier.refused(admission.call, refusal, now, enforced=False))

    def _report(self, events: list[Event], ended: list[Place], now: float) -> None:
        """Add what became of the places whose wait ended, and what policies changed."""
        events += self._notifier.ended(ended, now)
        if self._line is not None:
            events += self._ask(self._line.notices, self.name, now) or ()

    def _ask(self, method: Callable[..., Any], *details: Any) -> Any:
        """Return what a policy's method does; what it raises is a fault."""
        try:
            return method(*details)
        except BaseException as error:
            self._fault(getattr(method, "__name__", "a policy"), error)
            return None

    def _finish(self, ended: list[Place], events: list[Event]) -> None:
        """Wake and notify, outside the lock."""
        for place in ended:
            if place.wake is not None:
                place.wake()
        self._notifier.emit(events)

    def _admit_at(self, admission: Admission, now: float, lane: Lane | None = None) -> None:
        self._admitted += 1
        admission.admitted_at = now
        arrival = admission.call.arrival
        if arrival is not None and arrival < now:
            admission.queue_time = now - arrival
        if lane is not None:
            admission.lane = lane
            lane.started(now)

    def _abandon(self, admission: Admission, place: Place) -> None:
        """End a call whose caller stopped waiting, even if its turn came in that moment."""
        admission.settled = True
        if place.queued_at >= self._since:
            self._take_back(admission, Outcome.IGNORED, place)

    def _take_back(self, admission: Admission, outcome: Outcome, place: Place | None = None) -> None:
        """Give back whatever a call holds: its permit, or the place in which it still waits."""
        events: list[Event] = []
        first = self._lock.acquire()
        try:
            if not first:
                self._lock.later(partial(self._take_back, admission, outcome, place))
                return
            now = self._clock()
            if place is not None and place.waiting and self._line is not None:
                self._ask(self._line.withdraw, place, now)
            self._give_back(admission, outcome, now)
            ended = self._passed_on(admission, now) if self._line else []
            if admission.admitted_at is not None:
                self._settled[outcome] += 1
                if self._notifier.heard:
                    events.append(self._notifier.settled(admission, outcome, now))
            if self._notifier.heard:
                self._report(events, ended, now)
        finally:
            self._lock.release()
        if ended or events:
            self._finish(ended, events)

    def _passed_on(self, admission: Admission, now: float) -> list[Place]:
        """Let who is next start; on an event loop that is for its next turn to do, for whatever loop or thread."""
        if admission.lane is None:
            return self._handed_over(now)
        admission.lane.poke(now)
        return []

    def _give_back(self, admission: Admission, outcome: Outcome, now: float) -> None:
        if self.standing:
            self._reopen(now)
        try:
            self._pipeline.settle(admission, outcome, now)
        except BaseException as error:
            self._fault("settle", error)

    def _expire(self) -> bool:
        """Refuse the places that have waited too long; say whether any still wait."""
        if self._line is None:
            return False
        events: list[Event] = []
        with self._lock:
            now = self._clock()
            self._reopen(now)
            self._ask(self._line.expire, now)
            ended = self._released(now) + self._handed_over(now)
            left = len(self._line) > 0
            if self._notifier.heard:
                self._report(events, ended, now)
        self._finish(ended, events)
        return left

    def _dispatch(self, lane: Lane, budget: int) -> int:
        """Start at most `budget` waiting calls of a lane; return how many started."""
        if not self._line:
            return 0
        events: list[Event] = []
        with self._lock:
            now = self._clock()
            self._reopen(now)
            ended = self._handed_over(now, lane, budget)
            if self._notifier.heard:
                self._report(events, ended, now)
        if ended or events:
            self._finish(ended, events)
        return sum(1 for place in ended if place.lane is lane and place.error is None)

    def _handed_over(self, now: float, lane: Lane | None = None, budget: int = 0) -> list[Place]:
        """Start what may start, a task's place by its own lane and within the budget; return those that ended."""
        if not self._line:
            return []
        granted: list[Place] = []
        while (place := self._ask(self._pipeline.next_start, lane, now)) is not None:
            if place.lane is not None and budget <= 0:
                break
            granted.append(place)
            self._grant(place, now)
            # What a policy further in refuses is no work for the loop.
            budget -= place.lane is not None and place.error is None
        return granted + self._released(now)

    def _grant(self, place: Place, now: float) -> None:
        if place.passage.settled and self._line is not None:
            # Its caller has left, and the policy failed to let it go.
            self._ask(self._line.grant, place, now)
            self._ask(self._line.settle, place.ticket, Outcome.IGNORED, now)
            return
        self._ask(self._pipeline.grant, place, now)
        if place.error is None:
            place.passage.admission_time = now - place.queued_at
            place.passage.lane = place.lane
            self._admit_at(place.passage, now)
        else:
            self._refused[place.error.reason] += 1

    def _released(self, now: float) -> list[Place]:
        """Return the places that were refused while they waited."""
        places = [] if self._line is None else self._ask(self._line.released) or []
        for place in places:
            self._give_back(place.passage, Outcome.IGNORED, now)
            if place.error is not None:
                self._refused[place.error.reason] += 1
        return places

    def _lane(self) -> Lane | None:
        if self.dry_run or not self.enabled:
            return None
        if self._lanes is None:
            self._lanes = lanes(dispatch=self._dispatch, expire=self._expire, clock=self._clock)
        return self._lanes.current()

    def _forget_calls(self) -> None:
        self._lock = DecisionLock()
        self._pipeline.report_to(SheddingLog(self.name, self._lock.later, dry_run=self.dry_run))
        self._lanes = None
        self.standing = StandingRefusals()
        self._admitted = 0
        self._refused = Counter()
        self._settled = Counter()

    def _start_afresh(self) -> None:
        """Leave the calls of the parent to it, in a forked child: they never end here."""
        self._forget_calls()
        self._since = self._clock()
        self._ask(self._pipeline.start_afresh, self._since)
