"""Where a guard reads the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from perfguard._checks import check_callable

Clock = Callable[[], float]
"""Returns an instant in seconds that never goes back."""

monotonic: Clock = time.monotonic
"""The clock of production; on Linux the one that event loops use, too."""


def checked(clock: Clock) -> Clock:
    """Return a clock that can be read.

    Raises:
        ConfigurationError: It is not callable.
    """
    check_callable("clock", clock, "must be a function that returns seconds, monotonic")
    return clock
