"""Unexpected errors inside perfguard: told once, and never to a call."""

from __future__ import annotations


class Faults:
    """Logs unexpected errors, once per place and type.

    Safe from any thread.

    Args:
        owner: Where they are caught, for the message.
        consequence: What becomes of the call, for the message.
    """

    __slots__ = ("_consequence", "_logged", "_owner")

    _logged: set[str]
    _owner: str
    _consequence: str

    def __init__(self, owner: str, consequence: str = "calls go on unguarded") -> None:
        self._owner = owner
        self._consequence = consequence
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

            message = "%s: unexpected error in %s; %s"
            logging.getLogger("perfguard").error(message, self._owner, where, self._consequence, exc_info=error)
