"""Unexpected errors inside perfguard: told once, and never to a call."""

from __future__ import annotations


class Faults:
    """Logs unexpected errors, once per place and type.

    Safe from any thread.

    Args:
        owner: Where they are caught, for the message.
    """

    __slots__ = ("_logged", "_owner")

    _logged: set[str]
    _owner: str

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._logged = set()

    def report(self, where: str, error: BaseException) -> None:
        """Log an error; raise it again if it is to end the process.

        No other is meant for the caller, not even a cancellation: what raised it was
        called, not awaited.
        """
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        kind = f"{where}: {type(error).__name__}"
        if kind not in self._logged:
            self._logged.add(kind)
            # Loaded when there is something to say, so that `import perfguard` stays cheap.
            import logging

            message = "%s: unexpected error in %s; calls go on unguarded"
            logging.getLogger("perfguard").error(message, self._owner, where, exc_info=error)
