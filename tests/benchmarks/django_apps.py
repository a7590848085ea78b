"""The Django application that is measured, under ASGI: `PROTECTION` names what stands in front of it, or in it."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from perfguard_django.asgi import GuardMiddleware
from tests.benchmarks.turning_away import TurningAway
from tests.benchmarks.work import burn

PROTECTION = os.environ.get("PROTECTION", "none")
WORK = float(os.environ.get("WORK", "0"))
"""Seconds that a request computes."""


def compute(request: HttpRequest) -> HttpResponse:
    """A synchronous view."""
    burn(WORK)
    return HttpResponse(b"ok", content_type="text/plain")


urlpatterns = [path("", compute)]

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["perfguard_django.GuardMiddleware"] if PROTECTION == "middleware" else [],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a benchmark",  # noqa: S106
)
django.setup()
app: Any = get_asgi_application()
if PROTECTION == "perfguard":
    app = GuardMiddleware(app)
elif PROTECTION == "turning away":
    app = TurningAway(app, float(os.environ["SHARE"]))
