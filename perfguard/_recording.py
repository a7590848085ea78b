"""What records the requests of a middleware, from the moment on at which somebody wants to know."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from perfguard._faults import Faults
from perfguard.errors import ConfigurationError

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry


class Recorder(Protocol):
    """What records requests once it is active."""

    @property
    def active(self) -> bool:
        """Whether anything is recorded."""


R = TypeVar("R", bound=Recorder)

_ASK_EVERY = 20
"""Requests between two looks whether OpenTelemetry is in use by now."""


class Recording(Generic[R]):
    """Finds out whether the requests of a middleware are recorded, and by what.

    OpenTelemetry's API takes longer to load than all of perfguard. As long as nobody has
    loaded it there is no SDK either, so that it is not loaded for a `Telemetry` that
    nobody asked for. Safe from any thread.

    Args:
        said: The middleware's argument `telemetry`.
        make: Makes the recorder of a `Telemetry`.

    Raises:
        ConfigurationError: `said` is neither a `Telemetry` nor a bool.
    """

    __slots__ = ("_asked", "_lock", "_make", "_recorder", "_wanted")

    _asked: int
    _lock: Lock
    _make: Callable[[Telemetry], R]
    _recorder: R | None
    _wanted: bool

    def __init__(self, said: Telemetry | bool, make: Callable[[Telemetry], R]) -> None:  # noqa: FBT001
        check_telemetry(said)
        self._asked = 0
        self._lock = Lock()
        self._make = make
        self._recorder = None if isinstance(said, bool) else make(said)
        self._wanted = said is True

    def current(self) -> R | None:
        """Return what records requests; `None` where nothing does."""
        recorder = self._recorder
        if recorder is not None:
            return recorder if recorder.active else None
        return self._looked() if self._wanted else None

    def _looked(self) -> R | None:
        self._asked += 1
        if self._asked % _ASK_EVERY != 1 or "opentelemetry" not in sys.modules:
            return None
        try:
            from perfguard.telemetry.telemetry import Telemetry

            with self._lock:
                if self._recorder is None:
                    self._recorder = self._make(Telemetry())
        except Exception as error:
            # Say for a variable of its own that it does not understand.
            self._wanted = False
            Faults("telemetry", "nothing is recorded").report("OpenTelemetry", error)
            return None
        return self.current()


def check_telemetry(said: Any) -> None:
    """Raise unless it is what `telemetry=` may be.

    Raises:
        ConfigurationError: It is neither a `Telemetry` nor a bool.
    """
    if isinstance(said, bool):
        return
    from perfguard.telemetry.telemetry import Telemetry

    if not isinstance(said, Telemetry):
        raise ConfigurationError("telemetry", said, "must be a Telemetry, True or False")
