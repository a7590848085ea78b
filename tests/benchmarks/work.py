"""Work of a known length, for handlers that compute."""

from __future__ import annotations

import time

_PROBE = 20_000
# Some tenths of a second: longer than a neighbour on the same machine disturbs.
_PROBES = 500


def spin(rounds: int) -> int:
    """Compute: the same work however long it takes."""
    total = 0
    for number in range(rounds):
        # Masked, or it would soon take two words and longer for each sum.
        total = (total + number) & 0xFFFF
    return total


def calibrate(seconds: float) -> int:
    """Return how many rounds take that long on this machine, undisturbed."""
    best = float("inf")
    for _ in range(_PROBES):
        start = time.process_time()
        spin(_PROBE)
        best = min(best, time.process_time() - start)
    return int(_PROBE * seconds / best)
