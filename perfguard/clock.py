"""Where a guard reads the time."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns an instant in seconds that never goes back."""

monotonic: Clock = time.monotonic
"""The clock of production; on Linux the one that event loops use, too."""
