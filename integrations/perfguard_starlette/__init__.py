"""perfguard for Starlette: a limit for each route, priorities and exemptions."""

from perfguard.outcome import Priority
from perfguard_starlette.marks import exempt, priority
from perfguard_starlette.middleware import GuardMiddleware

__all__ = ["GuardMiddleware", "Priority", "exempt", "priority"]
