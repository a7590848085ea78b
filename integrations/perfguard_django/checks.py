"""System checks: the setting `PERFGUARD`, and the middleware's place."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's names
from django.utils.module_loading import import_string

from perfguard.errors import ConfigurationError
from perfguard_django.middleware import GuardMiddleware
from perfguard_django.options import UnknownSetting, problems, said


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return an error for every wrong value (E001) and unknown name (E002)."""
    return [_error(problem) for problem in problems(said())]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Return what is wrong with the middleware's place: twice (E003), not first (W001), not there (W002)."""
    places = [place for place, path in enumerate(settings.MIDDLEWARE) if _is_guard(path)]
    if not places:
        return [Warning("perfguard_django.GuardMiddleware is not in MIDDLEWARE.", hint=_FIRST, id="perfguard.W002")]
    messages: list[CheckMessage] = []
    if len(places) > 1:
        text = f"perfguard_django.GuardMiddleware is in MIDDLEWARE {len(places)} times."
        messages.append(Error(text, hint="List it once.", id="perfguard.E003"))
    if places[0] > 0:
        text = f"perfguard_django.GuardMiddleware is not the first in MIDDLEWARE, but comes after {places[0]} others."
        messages.append(Warning(text, hint=_FIRST, id="perfguard.W001"))
    return messages


_FIRST = "List it first: what stands before it is paid for refused requests too, and its time is not seen."


def _error(problem: ConfigurationError) -> CheckMessage:
    unknown = isinstance(problem, UnknownSetting)
    return Error(
        f"{problem.name} {'is unknown' if unknown else 'is wrong'}: {problem.value!r}.",
        hint=f"{problem.name} {problem.remedy}.",
        id="perfguard.E002" if unknown else "perfguard.E001",
    )


def _is_guard(path: str) -> bool:
    try:
        middleware = import_string(path)
    except ImportError:
        # Django itself says so when it loads its middleware.
        return False
    return isinstance(middleware, type) and issubclass(middleware, GuardMiddleware)
