"""perfguard for Flask: a limit for each URL rule, priorities and exemptions."""

from perfguard.extras import needed
from perfguard.outcome import Priority

try:
    from perfguard_flask.extension import PerfGuard
    from perfguard_flask.marks import exempt, priority
except ModuleNotFoundError as error:
    raise needed("perfguard_flask", frozenset({"click", "flask", "werkzeug"}), "flask", error) from None

__all__ = ["PerfGuard", "Priority", "exempt", "priority"]
