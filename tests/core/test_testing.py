"""The tools that users test with: the clock that stands still and the listener that remembers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perfguard import ConfigurationError, Guard
from perfguard.events import Admitted, Settled
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
