"""The tools that users test with: the clock that stands still and the listener that remembers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from perfguard import ConfigurationError, Guard, Limiter, QueueTimeout, Reason
from perfguard.events import Admitted, Settled
from perfguard.limits import FixedLimit
from perfguard.testing import ManualClock, RecordingListener


def test_manual_clock_stands_still_until_advanced() -> None:
    """Reading the clock does not move it; advancing returns the new instant."""
    clock = ManualClock(5.0)

    assert (clock(), clock(), clock.advance(1.5), clock()) == (5.0, 5.0, 6.5, 6.5)
    assert repr(clock) == "<ManualClock at 6.500000 s>"


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf"), float("-inf")])
def test_manual_clock_refuses_to_go_backward(seconds: float) -> None:
    """A step that is negative or no number raises and leaves the clock where it was."""
    clock = ManualClock(1.0)

    with pytest.raises(ValueError, match="goes on by a finite number"):
        clock.advance(seconds)

    assert clock() == 1.0


@pytest.mark.parametrize("start", [float("nan"), float("inf")])
def test_manual_clock_refuses_a_start_that_is_no_instant(start: float) -> None:
    """The first instant must be a finite number."""
    with pytest.raises(ConfigurationError) as caught:
        ManualClock(start)

    assert caught.value.name == "start"


def test_a_thread_that_waits_for_a_clock_that_stands_still_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than to hang; its place is given back."""
    monkeypatch.setattr("perfguard.testing._PATIENCE", 0.02)
    guard = Guard(Limiter(FixedLimit(1)), clock=ManualClock())

    with guard.admit(), pytest.raises(RuntimeError, match="the ManualClock has stood still"), guard.admit():
        pytest.fail("was admitted")

    assert (guard.snapshot().in_flight, guard.snapshot().queued) == (0, 0)


def test_a_clock_is_patient_again_once_it_was_advanced() -> None:
    """Only waits in vain count."""
    clock = ManualClock()
    clock.waited(4.9)
    clock.advance(0.0)
    clock.waited(4.9)

    with pytest.raises(RuntimeError, match="for 5 s of real time"):
        clock.waited(0.1)


def test_a_clock_that_is_advanced_elsewhere_ends_the_wait_of_a_thread() -> None:
    """The queue refuses what has waited too long by the clock."""
    clock = ManualClock()
    guard = Guard(Limiter(FixedLimit(1)), clock=clock)

    def enter() -> Reason:
        with pytest.raises(QueueTimeout) as caught, guard.admit():
            pytest.fail("was admitted")
        return caught.value.reason

    with guard.admit(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(enter)
        while not guard.snapshot().queued:
            pass
        clock.advance(0.5)
        assert waiting.result() is Reason.QUEUE_TIME


def test_recording_listener_keeps_events_in_order_and_by_kind() -> None:
    """A guard's events are kept oldest first and can be asked for by kind."""
    listener = RecordingListener()
    guard = Guard(listeners=[listener], clock=ManualClock())

    with guard.admit():
        pass

    assert [type(event) for event in listener.events] == [Admitted, Settled]
    assert listener.of(Settled) == listener.events[1:]
    assert repr(listener) == "<RecordingListener of 2 events>"


def test_recording_listener_forgets_when_cleared() -> None:
    """After `clear` nothing is left."""
    listener = RecordingListener()
    with Guard(listeners=[listener]).admit():
        pass

    listener.clear()

    assert len(listener) == 0


def test_testing_does_not_load_pytest() -> None:
    """The module serves any test runner."""
    script = "import sys, perfguard.testing; sys.exit('pytest' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
