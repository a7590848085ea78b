"""A limiter per key: fair turns, a bounded number of keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perfguard import AdmissionQueue, Call, KeyedLimiter, Limiter, LimitExceeded, Outcome
from perfguard.events import StateChanged
from perfguard.limits.fixed import FixedLimit
from perfguard.limits.keyed import OTHER
from perfguard.limits.limiter import Ticket
from perfguard.queueing import Place


def _one(key: str) -> Limiter:
    return Limiter(FixedLimit(1), key=key)


def _ticket(keyed: KeyedLimiter, key: str, now: float = 0.0) -> Ticket:
    ticket = keyed.admit(Call(key=key), now)
    assert isinstance(ticket, Ticket)
    return ticket


def _place(keyed: KeyedLimiter, key: str, now: float = 0.0) -> Place:
    place = keyed.admit(Call(key=key), now)
    assert isinstance(place, Place)
    return place


def _keys(keyed: KeyedLimiter) -> list[str]:
    return [shot.key for shot in keyed.snapshots(0.0)]


def test_saturated_key_does_not_hold_up_its_neighbour() -> None:
    """`/slow` waits; `/fast` starts."""
    keyed = KeyedLimiter(_one)
    _ticket(keyed, "/slow")
    _place(keyed, "/slow")

    _ticket(keyed, "/fast")

    assert len(keyed) == 1


def test_free_permits_go_round_the_waiting_keys() -> None:
    """A key with a long queue does not go twice before another with a short one."""
    keyed = KeyedLimiter(_one)
    a, b = _ticket(keyed, "a"), _ticket(keyed, "b")
    for key in ("a", "a", "b"):
        _place(keyed, key)
    keyed.settle(a, Outcome.SUCCESS, 0.1)
    keyed.settle(b, Outcome.SUCCESS, 0.1)

    order = []
    while (place := keyed.head(0.1)) is not None:
        keyed.grant(place, 0.1)
        order.append(place.call.key)
        keyed.settle(place.ticket, Outcome.SUCCESS, 0.1)

    assert order == ["a", "b", "a"]
    assert len(keyed) == 0


def _served(keyed: KeyedLimiter, key: str, seconds: float, now: float) -> float:
    """A call of that key, alone; return when it ended."""
    keyed.settle(_ticket(keyed, key, now), Outcome.SUCCESS, now + seconds)
    return now + seconds


def _grants(keyed: KeyedLimiter, count: int, now: float) -> list[str]:
    """The keys of the next calls that start, while nothing of them ends."""
    keys = []
    for _ in range(count):
        place = keyed.head(now)
        assert place is not None
        keyed.grant(place, now)
        keys.append(place.call.key)
    return keys


def test_keys_that_wait_share_the_time_and_not_the_number_of_starts() -> None:
    """Ten calls of 1 ms start for each of 10 ms."""
    keyed = KeyedLimiter(lambda key: Limiter(FixedLimit(100), AdmissionQueue(max_wait=10.0), key=key))
    now = 0.0
    for _ in range(100):
        now = _served(keyed, "short", 0.001, _served(keyed, "long", 0.01, now))
    for _ in range(60):
        keyed.enqueue(Call(key="short"), now)
        keyed.enqueue(Call(key="long"), now)

    keys = _grants(keyed, 55, now)

    assert 4 <= keys.count("long") <= 6


def test_key_that_was_idle_saves_no_share_up() -> None:
    """Who comes after a long rest does not go before all others for as long."""
    keyed = KeyedLimiter(lambda key: Limiter(FixedLimit(100), AdmissionQueue(max_wait=10.0), key=key))
    now = 0.0
    for _ in range(50):
        now = _served(keyed, "b", 0.01, _served(keyed, "a", 0.01, now))
    for _ in range(60):
        keyed.enqueue(Call(key="a"), now)
    _grants(keyed, 30, now)
    for _ in range(30):
        keyed.enqueue(Call(key="b"), now)

    assert 9 <= _grants(keyed, 20, now).count("b") <= 11


def test_least_recently_used_idle_key_makes_room() -> None:
    """With room for two, the third key takes the place of the one used longest ago."""
    keyed = KeyedLimiter(_one, max_keys=2)
    for key in ("a", "b", "a", "c"):
        keyed.settle(_ticket(keyed, key), Outcome.SUCCESS, 0.0)

    assert _keys(keyed) == ["a", "c"]


def test_keys_without_room_share_one_limiter() -> None:
    """With every limiter busy, newcomers of any key wait for one another."""
    keyed = KeyedLimiter(_one, max_keys=1)
    _ticket(keyed, "a")

    _ticket(keyed, "b")
    _place(keyed, "c")

    assert _keys(keyed) == ["a", OTHER]


def test_limit_of_the_rest_makes_no_room_for_one_key_more() -> None:
    """Rounds of busy keys do not add up: the rest is not counted among the keys, and not dropped for one."""
    keyed = KeyedLimiter(_one, max_keys=2)
    for round_ in range(20):
        tickets = [_ticket(keyed, f"{round_}.{number}") for number in range(3)]
        for ticket in tickets:
            keyed.settle(ticket, Outcome.SUCCESS, 0.0)

    assert len(_keys(keyed)) == 3


def test_call_with_the_key_of_the_rest_joins_the_rest() -> None:
    """A client that names its key `_OTHER` gets no limiter beyond the cap."""
    keyed = KeyedLimiter(_one, max_keys=1)
    _ticket(keyed, "a")

    for _ in range(2):
        keyed.admit(Call(key=OTHER), 0.0)

    assert _keys(keyed) == ["a", OTHER]


def test_withdrawn_place_is_forgotten() -> None:
    """A caller that left takes no turn."""
    keyed = KeyedLimiter(_one)
    ticket = _ticket(keyed, "a")
    place = _place(keyed, "a")

    keyed.withdraw(place, 0.1)
    keyed.settle(ticket, Outcome.SUCCESS, 0.1)

    assert keyed.head(0.1) is None
    assert len(keyed) == 0


def test_expired_places_of_every_key_are_released_once() -> None:
    """Those that waited too long are handed back, whatever their key."""
    keyed = KeyedLimiter(_one)
    for key in ("a", "b"):
        _ticket(keyed, key)
    waiting = [_place(keyed, key) for key in ("a", "b")]

    keyed.expire(9.0)

    assert keyed.released() == waiting
    assert keyed.released() == []


def test_places_that_expire_at_the_head_are_released() -> None:
    """Looking for the next place finds the overdue ones of a free key."""
    keyed = KeyedLimiter(_one)
    ticket = _ticket(keyed, "a")
    place = _place(keyed, "a")
    keyed.settle(ticket, Outcome.SUCCESS, 9.0)

    assert keyed.head(9.0) is None
    assert keyed.released() == [place]


def test_call_that_is_held_waits_at_its_own_key() -> None:
    """A call may have to wait for its turn though a permit is free."""
    keyed = KeyedLimiter(_one)

    place = keyed.enqueue(Call(key="a"), 0.0)

    assert keyed.head(0.0) is place
    assert len(keyed) == 1


def test_notices_name_the_key_they_are_about() -> None:
    """A state change of one key's queue is told under that key, once."""
    keyed = KeyedLimiter(_one)
    _ticket(keyed, "a")
    keyed.admit(Call(key="a", arrival=0.0), 0.2)

    (notice,) = keyed.notices("api", 0.2)

    assert isinstance(notice, StateChanged)
    assert (notice.guard, notice.key) == ("api", "a")
    assert keyed.notices("api", 0.2) == []


def test_dry_run_is_decided_by_key() -> None:
    """A key over its limit would be refused; its neighbour would not."""
    keyed = KeyedLimiter(lambda key: Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1), key=key))
    for _ in range(2):
        keyed.force(Call(key="a"), 0.0)

    assert isinstance(keyed.verdict(Call(key="a"), 0.0), LimitExceeded)
    assert keyed.verdict(Call(key="b"), 0.0) is None


def test_default_limiter_carries_its_key() -> None:
    """Without a factory each key gets the default limiter."""
    keyed = KeyedLimiter()
    _ticket(keyed, "a")

    assert _keys(keyed) == ["a"]
    assert repr(keyed) == "<KeyedLimiter 1/100 keys, 0 queued>"


def test_key_that_comes_back_after_its_limiter_was_dropped_is_served() -> None:
    """A caller that waited under the old limiter of a key, and left, does not hide the new one's queue."""
    keyed = KeyedLimiter(_one, max_keys=1)
    ticket = _ticket(keyed, "a")
    keyed.withdraw(_place(keyed, "a"), 0.0)
    keyed.settle(ticket, Outcome.SUCCESS, 0.0)
    keyed.settle(_ticket(keyed, "b"), Outcome.SUCCESS, 0.0)

    ticket = _ticket(keyed, "a")
    place = _place(keyed, "a")
    keyed.settle(ticket, Outcome.SUCCESS, 0.0)

    assert len(keyed) == 1
    assert keyed.head(0.0) is place


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(1, 5))
def test_number_of_limiters_is_bounded_whatever_the_keys(keys: list[str], most: int) -> None:
    """Names that clients invent cost `max_keys` limiters and the shared one at most."""
    keyed = KeyedLimiter(_one, max_keys=most)
    tickets = []
    for position, key in enumerate(keys):
        ticket = keyed.admit(Call(key=key), 0.0)
        if isinstance(ticket, Ticket):
            tickets.append(ticket)
        if position % 3 == 2 and tickets:
            keyed.settle(tickets.pop(0), Outcome.SUCCESS, 0.0)

        assert len(_keys(keyed)) <= most + 1
