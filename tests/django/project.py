"""A project with a view for each of Django's ways to answer."""

from __future__ import annotations

import asyncio
import io
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import connection, transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

import perfguard_django
from perfguard.context import current_admission, current_deadline
from perfguard_django import Priority, exempt, priority

gate = threading.Event()
"""What `/hold/` waits for."""

meeting = threading.Barrier(2)
"""Where two requests to `/meet/` wait for each other."""

served: list[str] = []
"""The names of the requests that `/hold/` has served."""


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("plain")


@transaction.non_atomic_requests
async def plain_async(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("plain async")


def template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "greeting.html", {"name": "world"})


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


@transaction.non_atomic_requests
async def boom_async(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom async")


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("missing")


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def bad(request: HttpRequest) -> HttpResponse:
    raise BadRequest("bad")


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("suspicious")


def nothing(request: HttpRequest) -> Any:
    return None


def status(request: HttpRequest, code: int) -> HttpResponse:
    return HttpResponse(str(code), status=code)


def parts() -> Iterator[bytes]:
    yield b"one "
    yield b"two "
    yield b"three"


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts())


def stream_empty(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([])


def stream_broken(request: HttpRequest) -> StreamingHttpResponse:
    def broken() -> Iterator[bytes]:
        yield b"one "
        raise RuntimeError("broken")

    return StreamingHttpResponse(broken())


@transaction.non_atomic_requests
async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def later() -> AsyncIterator[str]:
        for part in parts():
            await asyncio.sleep(0)
            yield part.decode()

    return StreamingHttpResponse(later())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(b"x" * 10_000), as_attachment=True, filename="x.bin")


def visits(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


def in_transaction(request: HttpRequest) -> HttpResponse:
    """Insert a row, and fail where the request says so: the row must be gone then."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO rows VALUES (1)")
    if request.GET.get("fail"):
        raise RuntimeError("rolled back")
    return HttpResponse(str(connection.in_atomic_block))


@transaction.non_atomic_requests
def count(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM rows")
        return HttpResponse(str(cursor.fetchone()[0]))


def context(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_context())


@transaction.non_atomic_requests
async def context_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_context())


def _context() -> str:
    admission = current_admission.get()
    return f"{current_deadline.get() is not None} {admission and admission.call.key}"


def hold(request: HttpRequest) -> HttpResponse:
    served.append(request.GET.get("name", ""))
    gate.wait(30)
    return HttpResponse("held")


def meet(request: HttpRequest) -> HttpResponse:
    """Answer once another request is here as well, on another thread."""
    meeting.wait(20)
    return HttpResponse("met")


def slow(request: HttpRequest) -> HttpResponse:
    """Say who was taken up, and take 50 ms."""
    Path(f"started-{request.META['QUERY_STRING']}").touch()
    time.sleep(0.05)
    return HttpResponse("slow")


@transaction.non_atomic_requests
async def slow_async(request: HttpRequest) -> HttpResponse:
    return await asyncio.to_thread(slow, request)


@transaction.non_atomic_requests
async def hold_async(request: HttpRequest) -> HttpResponse:
    await asyncio.to_thread(gate.wait, 30)
    return HttpResponse("held")


@transaction.non_atomic_requests
@exempt
async def release(request: HttpRequest) -> HttpResponse:
    gate.set()
    return HttpResponse("released")


@exempt
def report(request: HttpRequest) -> HttpResponse:
    return HttpResponse(" ".join(served))


def signalled(request: HttpRequest) -> HttpResponse:
    """Say that it runs, and go on for 0.3 s after it has been answered."""
    Path("running").touch()
    while not Path("go on").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    return HttpResponse("late")


def endless(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(itertools.repeat(b"x" * 10_000))


async def endless_async(request: HttpRequest) -> StreamingHttpResponse:
    async def later() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"x" * 10_000

    return StreamingHttpResponse(later())


@csrf_exempt
@priority(Priority.HIGH)
def important(request: HttpRequest, pk: int) -> HttpResponse:
    return HttpResponse(str(pk))


@method_decorator(priority(Priority.LOW), name="dispatch")
class Dispatched(View):
    """Marked by its method."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("dispatched")


@exempt
class Marked(View):
    """Marked itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        return HttpResponse("marked")


@priority(Priority.BACKGROUND)
class Child(Marked):
    """Inherits its parent's exemption."""


admin = [path("users/<int:pk>/", important), path("", plain)]

urlpatterns = [
    path("", plain),
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("template/", template),
    path("boom/", boom),
    path("boom-async/", boom_async),
    path("missing/", missing),
    path("denied/", denied),
    path("bad/", bad),
    path("suspicious/", suspicious),
    path("nothing/", nothing),
    path("status/<int:code>/", status),
    path("stream/", stream),
    path("stream-empty/", stream_empty),
    path("stream-broken/", stream_broken),
    path("stream-async/", stream_async),
    path("file/", file),
    path("visits/", visits),
    path("rows/", in_transaction),
    path("count/", count),
    path("context/", context),
    path("context-async/", context_async),
    path("meet/", transaction.non_atomic_requests(meet)),
    path("slow/", transaction.non_atomic_requests(slow)),
    path("slow-async/", slow_async),
    path("hold/", hold),
    path("hold-async/", hold_async),
    path("release/", release),
    path("report/", report),
    path("signalled/", signalled),
    path("endless/", endless),
    path("endless-async/", transaction.non_atomic_requests(endless_async)),
    path("important/<int:pk>/", important),
    path("dispatched/", Dispatched.as_view()),
    path("marked/", Marked.as_view()),
    path("child/", Child.as_view()),
    path("wrapped/", priority(Priority.CRITICAL)(Dispatched.as_view())),
    path("admin/", include(admin)),
    re_path(r"^old/(?P<year>[0-9]{4})/$", lambda request, year: HttpResponse(year)),
    path("healthz/", plain),
    path("perfguard/", perfguard_django.snapshot_view),
]
