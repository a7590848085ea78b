"""The project under real servers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import Running, running, until

SETTINGS = """
from tests.django.project_settings import *

PERFGUARD = {setting}
"""
APP = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "app_settings"

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

import perfguard_django.asgi
import perfguard_django.wsgi
from perfguard import AdmissionQueue, Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit

guard = Guard(KeyedLimiter(
    lambda key: Limiter(FixedLimit(1), AdmissionQueue(target=60.0, max_wait=60.0, min_length=2, max_length=2), key=key)
))
wsgi = get_wsgi_application()
asgi = get_asgi_application()
around_wsgi = perfguard_django.wsgi.GuardMiddleware(wsgi)
around_asgi = perfguard_django.asgi.GuardMiddleware(asgi)
"""
GTHREAD = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "8"]
UVICORN = ["-m", "uvicorn", "--port", "{port}"]
CONCURRENT = {
    "gunicorn gthread": [*GTHREAD, "app:wsgi"],
    "gunicorn gthread, loaded before the fork": [*GTHREAD, "--preload", "app:wsgi"],
    "gunicorn gthread, around": [*GTHREAD, "app:around_wsgi"],
    "uvicorn": [*UVICORN, "app:asgi"],
    "uvicorn, around": [*UVICORN, "app:around_asgi"],
    "daphne": ["-m", "daphne", "-p", "{port}", "app:asgi"],
    "daphne, around": ["-m", "daphne", "-p", "{port}", "app:around_asgi"],
}
SYNC = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "-k", "sync"]
SERVERS = {"gunicorn sync": [*SYNC, "app:wsgi"], **CONCURRENT}


@contextlib.contextmanager
def serving(command: list[str], folder: Path, **setting: Any) -> Iterator[Running]:
    """Run a server of the project with that setting until the block ends."""
    (folder / "app.py").write_text(APP)
    (folder / "app_settings.py").write_text(SETTINGS.format(setting=setting))
    with running(command, folder) as server:
        yield server


def until_shown(server: Running, **expected: Any) -> None:
    """Wait until the snapshot of the process that answers says so."""

    def holds() -> bool:
        state = json.loads(server.get("/perfguard/")[1])
        return {name: state[name] for name in expected} == expected

    until(holds, str(expected))
