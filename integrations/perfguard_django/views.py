"""A view that shows the guard."""

from __future__ import annotations

from math import isfinite
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from perfguard.guard import Guard
from perfguard.marks import exempt
from perfguard.snapshot import GuardSnapshot

AROUND = "perfguard_django.guard"
"""Where the guard around the application is, in the ASGI scope or the WSGI environ."""


@exempt
def snapshot_view(request: HttpRequest) -> HttpResponse:
    """Return the snapshot of the process that answers, as JSON; never queued, never refused.

    It tells how the service is doing: put it where only your own people come, as in
    `path("perfguard/", staff_member_required(snapshot_view))`.

    Raises:
        Http404: No `GuardMiddleware` of this package is there.
    """
    # One that stands around the application is who decides.
    around = getattr(request, "scope", request.META).get(AROUND)
    guard = getattr(request, "perfguard", None) if around is None else around
    if not isinstance(guard, Guard):
        raise Http404("perfguard_django.GuardMiddleware is not in MIDDLEWARE")
    response = JsonResponse(as_json(guard.snapshot()))
    response["Cache-Control"] = "no-store"
    return response


def as_json(snapshot: GuardSnapshot) -> dict[str, Any]:
    """Return a snapshot as JSON can say it; what is not finite becomes `None`."""
    limiters = [{name: _finite(value) for name, value in each._asdict().items()} for each in snapshot.limiters]
    return {**snapshot._asdict(), "limiters": limiters}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
