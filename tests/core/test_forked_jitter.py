"""The jitter of `Retry-After` in processes that were forked after the middleware was made."""

from __future__ import annotations

import subprocess
import sys

import pytest

REFUSING = """
import asyncio, os
from perfguard import Guard, LimitExceeded, Reason

class Full:
    def admit(self, call, now):
        raise LimitExceeded(Reason.EVICTED, 10.0)

    def settle(self, ticket, outcome, now):
        pass

guard = Guard(Full())
"""
WSGI = """
from perfguard.wsgi import GuardMiddleware

middleware = GuardMiddleware(lambda environ, start_response: [], guard)

def told():
    heads = []
    for _ in range(50):
        middleware({"PATH_INFO": "/"}, lambda status, headers: heads.append(dict(headers)["retry-after"]))
    return heads
"""
ASGI = """
from perfguard.asgi import GuardMiddleware

async def nothing(*_):
    pass

middleware = GuardMiddleware(nothing, guard)

async def ask():
    heads = []

    async def send(message):
        heads.extend(value for name, value in message.get("headers", ()) if name == b"retry-after")

    for _ in range(50):
        await middleware({"type": "http", "path": "/", "headers": []}, nothing, send)
    return heads

def told():
    return asyncio.run(ask())
"""
DJANGO = """
import django
from django.conf import settings
from django.test import RequestFactory

settings.configure(PERFGUARD={"GUARD": guard}, ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"])
django.setup()
from perfguard_django import GuardMiddleware

middleware = GuardMiddleware(print)

def told():
    return [middleware(RequestFactory().get("/"))["Retry-After"] for _ in range(50)]
"""
TWO_CHILDREN = """
for _ in range(2):
    if not os.fork():
        os.write(1, f"{told()}\\n".encode())
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("protocol", [WSGI, ASGI, DJANGO], ids=["wsgi", "asgi", "django"])
def test_two_forked_children_spread_their_clients_each_in_its_own_way(protocol: str) -> None:
    """With the chance of their parent both would tell their clients the same times to come back at."""
    command = [sys.executable, "-c", f"{REFUSING}{protocol}{TWO_CHILDREN}"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    first, second = told.splitlines()
    assert first.count(",") == second.count(",") == 49
    assert first != second
