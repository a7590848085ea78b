"""One limiter for each kind of call, so that a saturated one does not shed its neighbours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from perfguard._checks import check_callable, check_whole
from perfguard.errors import ConfigurationError, Rejected
from perfguard.limits.limiter import Limiter, LimiterSnapshot, Ticket
from perfguard.outcome import Call, Outcome
from perfguard.policy import Notice, Observer
from perfguard.queueing.place import Lane, Place

OTHER = "_OTHER"
"""The key that all calls share for which there is no room of their own."""


class KeyedLimiter:
    """A limiter per key; who may start goes by priority, and among equals by fair shares of time.

    Keys that wait at the same time get equal shares of the time that calls take, not of
    their number, so that long calls do not starve short ones on a processor that they
    share: start-time fair queueing (Goyal, Vin and Cheng, 1996). A call's start tag is
    `S = max(v, F)`, where `F` is the finish tag of the key's call before and `v` the
    start tag of the call that started last; `F` is `S` plus what a call of the key
    takes without waiting, in seconds. The least start tag goes first.

    At most `max_keys` limiters exist, since a key may come from a client. When there is
    no room the least recently used idle one is dropped; if none is idle, the newcomer
    shares the limiter of the key `_OTHER`.

    Pure and unsynchronised: the guard's lock owns it.

    Args:
        make: Makes the limiter of a key; by default `Limiter(key=key)`.
        max_keys: The number of keys that have a limiter of their own.

    Raises:
        ConfigurationError: `max_keys` is no whole number of at least 1, `make` is no
            function from a key to a limiter, or raises it.
    """

    __slots__ = ("_limiters", "_make", "_observer", "_released", "_touched", "_virtual", "_waiting", "max_keys")

    max_keys: int
    _make: Callable[[str], Limiter]
    _limiters: OrderedDict[str, Limiter]
    _waiting: OrderedDict[str, Limiter]
    _observer: Observer | None
    _released: list[Place]
    _touched: dict[str, Limiter]
    _virtual: float

    def __init__(self, make: Callable[[str], Limiter] | None = None, *, max_keys: int = 100) -> None:
        check_whole("max_keys", max_keys, least=1)
        self.max_keys = max_keys
        self._make = _default if make is None else make
        _try_out(self._make)
        self._limiters = OrderedDict()
        self._waiting = OrderedDict()
        self._observer = None
        self._released = []
        self._touched = {}
        self._virtual = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        return bool(self._waiting) and len(self) > 0

    def __repr__(self) -> str:
        return f"<KeyedLimiter {len(self._limiters)}/{self.max_keys} keys, {len(self)} queued>"

    def admit(self, call: Call, now: float) -> Ticket | Place:
        """Return a ticket, or a place in the queue of the call's key.

        Raises:
            LimitExceeded: The call can neither start nor wait.
        """
        limiter = self._of(call.key)
        ticket = limiter.admit(call, now)
        if type(ticket) is Place:
            self._waiting.setdefault(limiter.key, limiter)
        return ticket

    def enqueue(self, call: Call, now: float) -> Place:
        """Return a place in the queue of the call's key though a permit may be free.

        Raises:
            LimitExceeded: The call cannot wait.
        """
        limiter = self._of(call.key)
        place = limiter.enqueue(call, now)
        self._waiting.setdefault(limiter.key, limiter)
        return place

    def force(self, call: Call, now: float) -> Ticket:
        """Return a ticket whatever the limit says."""
        return self._of(call.key).force(call, now)

    def count_refusals(self, call: Call, count: int, now: float) -> None:
        """Count refusals of a key that were given without asking."""
        self._of(call.key).count_refusals(call, count, now)

    def verdict(self, call: Call, now: float) -> Rejected | None:
        """Return the refusal that enforcing would raise for the call's key, or `None`."""
        return self._of(call.key).verdict(call, now)

    def head(self, now: float, late: Collection[Lane] = ()) -> Place | None:
        """Return the place of the highest priority, of equals that of the key with the least start tag."""
        best: Place | None = None
        least = (0, 0.0)
        for limiter in list(self._waiting.values()):
            place = limiter.head(now, late)
            if place is not None:
                rank = place.call.priority, max(self._virtual, limiter.finish_tag)
                if best is None or rank < least:
                    best, least = place, rank
            if not len(limiter):
                self._no_longer_waiting(limiter)
        return best

    def grant(self, place: Place, now: float) -> None:
        """Start the call of that place; its key is charged for it."""
        limiter = place.limiter
        self._virtual = max(self._virtual, limiter.finish_tag)
        limiter.finish_tag = self._virtual + limiter.cost
        limiter.grant(place, now)
        self._touched[limiter.key] = limiter
        self._waiting.move_to_end(limiter.key)

    def withdraw(self, place: Place, now: float) -> None:
        """Give a place back whose caller no longer waits."""
        place.limiter.withdraw(place, now)

    def expire(self, now: float) -> None:
        """Refuse the places that have waited too long, whatever their key."""
        for limiter in self._waiting.values():
            limiter.expire(now)

    def settle(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Take the ticket back and let the limit of its key learn."""
        limiter = ticket.limiter
        limiter.settle(ticket, outcome, now)
        self._touched[limiter.key] = limiter

    def start_afresh(self, now: float) -> None:
        """Have nothing in flight and nothing queued, whatever the key."""
        for limiter in self._limiters.values():
            limiter.start_afresh(now)
        self._waiting.clear()
        self._released.clear()
        self._touched.clear()

    def released(self) -> list[Place]:
        """Return, once, the places that were refused while they waited."""
        places, self._released = self._released, []
        for limiter in self._waiting.values():
            places += limiter.released()
        return places

    def report_to(self, observer: Observer) -> None:
        """Tell the observer when a key begins or ceases to shed."""
        self._observer = observer
        for limiter in self._limiters.values():
            limiter.report_to(observer)

    def notices(self, guard: str, now: float) -> list[Notice]:
        """Return, once, what changed, under the guard's name."""
        touched, self._touched = self._touched, {}
        return [each for limiter in touched.values() for each in limiter.notices(guard, now)]

    def snapshots(self, now: float) -> list[LimiterSnapshot]:
        """Return the live state of each key, least recently used first."""
        return [each for limiter in self._limiters.values() for each in limiter.snapshots(now)]

    def _of(self, key: str) -> Limiter:
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._added(key)
        else:
            self._limiters.move_to_end(key)
        self._touched[limiter.key] = limiter
        return limiter

    def _added(self, key: str) -> Limiter:
        if key != OTHER and self._crowded() and not self._dropped_one():
            return self._of(OTHER)
        limiter = self._limiters[key] = self._make(key)
        limiter.key = key
        if self._observer is not None:
            limiter.report_to(self._observer)
        return limiter

    def _crowded(self) -> bool:
        return len(self._limiters) - (OTHER in self._limiters) >= self.max_keys

    def _dropped_one(self) -> bool:
        for key, limiter in self._limiters.items():
            if key != OTHER and not limiter.in_flight and not len(limiter):
                self._no_longer_waiting(limiter)
                del self._limiters[key]
                self._touched.pop(key, None)
                return True
        return False

    def _no_longer_waiting(self, limiter: Limiter) -> None:
        self._released += limiter.released()
        self._waiting.pop(limiter.key, None)


def _default(key: str) -> Limiter:
    return Limiter(key=key)


def _try_out(make: Callable[[str], object]) -> None:
    """Call `make` once, so that what is wrong in there shows here and not at a request."""
    remedy = "must be a function from a key to a Limiter"
    check_callable("make", make, remedy)
    try:
        made = make("")
    except TypeError as error:
        raise ConfigurationError("make", make, remedy) from error
    if not isinstance(made, Limiter):
        raise ConfigurationError("make", make, f"{remedy}, not to {made!r}")
