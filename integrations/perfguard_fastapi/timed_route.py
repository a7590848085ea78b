"""FastAPI's route, which measures how long a `def` endpoint waits for a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute

from perfguard_starlette.threads import threaded, waits_for_thread


class TimedRoute(APIRoute):
    """A route whose `def` endpoint reports its wait for a thread: `app.router.route_class = TimedRoute`.

    Set it before the routes are made, and for each router: `APIRouter(route_class=TimedRoute)`.
    The endpoint runs on the same threads, in the same context, with the dependencies,
    responses and errors that it had. FastAPI takes it for an `async def` endpoint, which
    shows in one thing: a response model is validated on the event loop, and waits for no
    second thread.

    Not measured are the waits of `def` dependencies and of generators, which FastAPI hands
    over by itself, and endpoints that are neither function nor method.

    Args:
        path: The route's template.
        endpoint: What serves it.
        options: All that `fastapi.routing.APIRoute` takes.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, threaded(endpoint) if waits_for_thread(endpoint) else endpoint, **options)
