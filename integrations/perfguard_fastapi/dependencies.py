"""What endpoints and routers say of themselves, and what a request tells its endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Annotated, Any, overload

from fastapi import Depends

from perfguard.context import current_deadline, remaining
from perfguard.outcome import Priority
from perfguard_starlette import marks
from perfguard_starlette.marks import Endpoint, Marks


async def _nothing() -> None:
    """Do nothing at a request: admission has happened before dependencies run."""


class Mark:
    """Says something of the routes it is put on, as a decorator or as a dependency.

    `@mark` marks one endpoint. `dependencies=[Depends(mark)]` marks a route, all routes
    of an `APIRouter`, of an `include_router` or of the application: the guard reads it
    from the routes beforehand, and at a request it does nothing.

    Args:
        says: What it says.
    """

    # By Python's convention this is what signatures are read from: no parameters, and
    # run on the event loop rather than in the thread pool.
    __wrapped__ = staticmethod(_nothing)

    says: Marks

    def __init__(self, says: Marks) -> None:
        self.says = says

    def __repr__(self) -> str:
        return f"<Mark {self.says!r}>"

    @overload
    def __call__(self) -> Awaitable[None]: ...

    @overload
    def __call__(self, endpoint: Endpoint) -> Endpoint: ...

    def __call__(self, endpoint: Any = None) -> Any:
        """Mark an endpoint; as a dependency, do nothing."""
        return _Done() if endpoint is None else marks.mark(endpoint, self.says)


class _Done:
    """An awaitable that is done; unlike a coroutine it may also be dropped."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


def priority(level: Priority) -> Mark:
    """Return a mark that gives requests a priority, as a decorator or as a dependency.

    A decorator outranks a dependency, and a dependency those of what encloses it.

    Args:
        level: Under overload the lower priorities are shed first.

    Raises:
        ConfigurationError: `level` is no `Priority`.
    """
    return Mark(Marks(priority=marks.checked(level)))


exempt = Mark(Marks(exempt=True))
"""Lets requests pass untouched, never queued and never refused: `@exempt` or `Depends(exempt)`."""


async def _deadline() -> float | None:
    return current_deadline.get()


async def _remaining() -> float | None:
    return remaining()


Deadline = Annotated[float | None, Depends(_deadline)]
"""The instant, in `time.monotonic` seconds, after which nobody wants the answer; or `None`."""

Remaining = Annotated[float | None, Depends(_remaining)]
"""The seconds left until the deadline when the endpoint starts; `None` without a deadline."""
