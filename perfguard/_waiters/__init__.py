"""How callers wait: threads for an event, tasks for a future and the pacing of their loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfguard._waiters.tasks import Dispatch, Lanes


def lanes(*, dispatch: Dispatch, expire: Callable[[], bool], clock: Callable[[], float]) -> Lanes:
    """Return the lanes of a guard that is used on an event loop, for the first time.

    Services on threads do without asyncio, and `import perfguard` stays cheap.
    """
    from perfguard._waiters.tasks import Lanes

    return Lanes(dispatch=dispatch, expire=expire, clock=clock)
