"""perfguard for FastAPI: a limit for each route, priorities, exemptions and the deadline."""

from perfguard.outcome import Priority
from perfguard_fastapi.dependencies import Deadline, Remaining, exempt, priority
from perfguard_fastapi.middleware import GuardMiddleware

__all__ = ["Deadline", "GuardMiddleware", "Priority", "Remaining", "exempt", "priority"]
