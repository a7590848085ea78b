"""What an operator finds in the log, without a listener, when a guard begins to shed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from perfguard import AdmissionQueue, Backpressure, Call, Guard, KeyedLimiter, Limiter, LimitExceeded
from perfguard._notifier import SheddingLog
from perfguard.limits import FixedLimit
from perfguard.outcome import Outcome
from perfguard.testing import ManualClock

SHEDDING, NORMAL = Backpressure.SHEDDING, Backpressure.NORMAL


@pytest.fixture
def _logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "perfguard"):
        yield


def trial() -> tuple[Guard, ManualClock]:
    """A guard of one permit for each key; on trial no call waits, so that a test needs neither threads nor a loop."""
    clock = ManualClock()
    make = KeyedLimiter(lambda key: Limiter(FixedLimit(1), key=key))
    return Guard(make, name="web", clock=clock, dry_run=True), clock


def overload(guard: Guard, clock: ManualClock, key: str) -> None:
    """Let a call run, and behind it some that have stood for longer than the target; then all end."""
    admissions = [guard.admit(Call(key=key, arrival=clock() - 0.2 * bool(number))) for number in range(7)]
    for each in admissions:
        clock.advance(0.05)
        guard.begin(each)
    for each in admissions:
        each.settle(Outcome.SUCCESS)


def calm(guard: Guard, clock: ManualClock, key: str) -> None:
    """Let calls start at once for longer than an interval."""
    for _ in range(5):
        clock.advance(0.05)
        with guard.admit(Call(key=key)):
            pass


@pytest.mark.usefixtures("_logged")
def test_one_warning_when_shedding_begins_and_one_information_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """However many calls are refused in between."""
    lines = SheddingLog("web", lambda action: action(), dry_run=False)
    for now in (1.0, 2.0, 3.0):
        lines("/orders", SHEDDING, now)
    lines("/orders", NORMAL, 4.5)
    lines("/orders", NORMAL, 5.0)

    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("WARNING", "guard 'web' sheds load of '/orders': its queue has stood for too long to be a burst"),
        ("INFO", "guard 'web' no longer sheds load of '/orders', after 3.5 s"),
    ]


@pytest.mark.usefixtures("_logged")
def test_a_key_that_sheds_again_and_again_is_told_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """Another key has lines of its own."""
    lines = SheddingLog("web", lambda action: action(), dry_run=False)
    for step in range(200):
        lines("a", SHEDDING if step % 2 else NORMAL, step * 0.1)
    lines("b", SHEDDING, 20.0)

    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert [("'a'" in text, "'b'" in text) for text in warnings] == [(True, False), (True, False), (False, True)]
    assert len(caplog.records) - len(warnings) <= 2


@pytest.mark.usefixtures("_logged")
def test_a_shedding_that_lasts_is_told_though_its_beginning_was_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The last line never says that all is well while calls are refused."""
    lines = SheddingLog("web", lambda action: action(), dry_run=False)
    for now, state in ((0.0, SHEDDING), (1.0, NORMAL), (2.0, SHEDDING), (9.0, SHEDDING), (10.0, SHEDDING)):
        lines("", state, now)

    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_the_lines_of_keys_from_clients_are_bounded() -> None:
    """Each could be another."""
    lines = SheddingLog("web", lambda action: None, dry_run=False)
    for number in range(10_000):
        lines(str(number), SHEDDING, float(number))

    assert len(lines) <= 1000


@pytest.mark.usefixtures("_logged")
def test_a_guard_tells_of_each_key_that_sheds(caplog: pytest.LogCaptureFixture) -> None:
    """From when its queue has stood for an interval until it has been short for one."""
    guard, clock = trial()
    overload(guard, clock, "/a")
    overload(guard, clock, "/b")
    calm(guard, clock, "/a")

    heads = [text.partition(":")[0].partition(",")[0] for text in caplog.messages]
    assert heads == [
        "guard 'web' would shed load (dry run) of '/a'",
        "guard 'web' would shed load (dry run) of '/b'",
        "guard 'web' would no longer shed load (dry run) of '/a'",
    ]


@pytest.mark.usefixtures("_logged")
def test_a_guard_that_enforces_tells_it_without_a_listener(caplog: pytest.LogCaptureFixture) -> None:
    """However long calls are refused."""
    clock = ManualClock()
    guard = Guard(Limiter(FixedLimit(1), AdmissionQueue(min_length=1, max_length=1)), name="web", clock=clock)

    async def main() -> None:
        first = guard.admit()
        await first.acquire()
        waiting = asyncio.ensure_future(guard.admit(Call(arrival=clock() - 0.2)).acquire())
        await asyncio.sleep(0)
        for _ in range(6):
            clock.advance(0.05)
            with pytest.raises(LimitExceeded):
                await guard.admit(Call(arrival=clock() - 0.2)).acquire()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        first.settle(Outcome.SUCCESS)

    asyncio.run(main())
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("guard 'web' sheds load:")


def test_a_snapshot_shows_that_the_queue_has_gone() -> None:
    """Though no call came since: readiness must not wait for the traffic that it keeps away."""
    guard, clock = trial()
    overload(guard, clock, "/a")
    assert guard.snapshot().state is SHEDDING

    clock.advance(0.5)
    guard.snapshot()
    clock.advance(0.5)

    assert guard.snapshot().state is NORMAL


def test_a_handler_that_raises_touches_no_call() -> None:
    """Logging is not worth a request."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    handler = Handler()
    logging.getLogger("perfguard").addHandler(handler)
    try:
        guard, clock = trial()
        overload(guard, clock, "/a")
    finally:
        logging.getLogger("perfguard").removeHandler(handler)
    assert guard.snapshot().in_flight == 0
