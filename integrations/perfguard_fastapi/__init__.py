"""perfguard for FastAPI: a limit for each route, priorities, exemptions and the deadline."""

from perfguard.extras import needed
from perfguard.outcome import Priority

try:
    from perfguard_fastapi.dependencies import Deadline, Remaining, exempt, priority
    from perfguard_fastapi.middleware import GuardMiddleware
    from perfguard_fastapi.timed_route import TimedRoute
except ModuleNotFoundError as error:
    raise needed("perfguard_fastapi", frozenset({"fastapi", "starlette"}), "fastapi", error) from None

__all__ = ["Deadline", "GuardMiddleware", "Priority", "Remaining", "TimedRoute", "exempt", "priority"]
