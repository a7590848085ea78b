"""perfguard for Django: a limit for each route, priorities, exemptions, system checks."""

from perfguard.extras import needed
from perfguard.marks import exempt, priority
from perfguard.outcome import Priority

try:
    from perfguard_django.middleware import GuardMiddleware
    from perfguard_django.views import snapshot_view
except ModuleNotFoundError as error:
    raise needed("perfguard_django", frozenset({"django"}), "django", error) from None

__all__ = ["GuardMiddleware", "Priority", "exempt", "priority", "snapshot_view"]
