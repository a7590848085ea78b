"""Work of a known length, for handlers that compute."""

from __future__ import annotations

import time


def burn(seconds: float) -> None:
    """Compute for so many seconds of this thread's processor time, however fast the machine is just now."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        for _ in range(200):
            pass
