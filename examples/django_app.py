"""A Django service in one file, with a limit for each route, priorities, an exemption and a deadline.

Run it with `python examples/django_app.py`, and load it from another terminal:

    perfguard load http://127.0.0.1:8000/reports/7/ --rate 500 --duration 10 --deadline 1s

`python examples/django_app.py perfguard` shows what the guard makes of each route, and with
`--url http://127.0.0.1:8000/perfguard/` what it does now. Under a server of production it is
`gunicorn --chdir examples --threads 8 django_app:application`.
"""

import sys
import time

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views import View

from perfguard.context import remaining
from perfguard_django import Priority, priority, snapshot_view

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    INSTALLED_APPS=["perfguard_django"],
    MIDDLEWARE=["perfguard_django.GuardMiddleware", "django.middleware.common.CommonMiddleware"],
    PERFGUARD={"TIMEOUT": 2.0},
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example alone",  # noqa: S106 - It signs nothing.
)
django.setup()


@priority(Priority.HIGH)
def product(request: HttpRequest, product: int) -> JsonResponse:
    """Answer at once."""
    return JsonResponse({"product": product})


def report(request: HttpRequest, customer: int) -> JsonResponse:
    """Wait for a slow back end, for no longer than the client does."""
    time.sleep(min(0.2, remaining() or 0.2))
    return JsonResponse({"customer": customer})


@priority(Priority.BACKGROUND)
class Batch(View):
    """Serves a client that can wait."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """Compute for about two milliseconds."""
        return JsonResponse({"total": sum(number * number for number in range(30_000))})


urlpatterns = [
    path("products/<int:product>/", product),
    path("reports/<int:customer>/", report),
    path("batch/", Batch.as_view()),
    path("perfguard/", snapshot_view),
]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], *(sys.argv[1:] or ["runserver", "--noreload"])])
