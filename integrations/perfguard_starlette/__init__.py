"""perfguard for Starlette: a limit for each route, priorities and exemptions."""

from perfguard.extras import needed
from perfguard.outcome import Priority

try:
    from perfguard_starlette.marks import exempt, priority
    from perfguard_starlette.middleware import GuardMiddleware
    from perfguard_starlette.threads import threaded
except ModuleNotFoundError as error:
    raise needed("perfguard_starlette", frozenset({"starlette"}), "starlette", error) from None

__all__ = ["GuardMiddleware", "Priority", "exempt", "priority", "threaded"]
