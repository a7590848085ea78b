"""What events say."""

from __future__ import annotations

from perfguard import Guard
from perfguard.events import Settled
from perfguard.testing import ManualClock, RecordingListener


def test_a_call_admitted_at_instant_zero_has_its_service_time() -> None:
    """A manual clock begins there."""
    listener = RecordingListener()
    clock = ManualClock()

    with Guard(clock=clock, listeners=[listener]).admit():
        clock.advance(1.5)

    assert [event.service_time for event in listener.of(Settled)] == [1.5]
