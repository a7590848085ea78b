"""A saturated route beside a fast one, under a real uvicorn in this process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn


@contextmanager
def uvicorn_of(app: Any, **options: Any) -> Iterator[str]:
    """Run a server of an application until the block ends; its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


def slow_and_fast(url: str, slow: str, fast: str, release: str) -> tuple[list[int], list[int]]:
    """Ask 30 times for a route that waits for its release, and 50 times for another once the first refuses."""
    return asyncio.run(_scenario(url, slow, fast, release))


async def _scenario(url: str, slow: str, fast: str, release: str) -> tuple[list[int], list[int]]:
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=url, timeout=30.0, limits=limits) as client:

        async def get(path: str, number: int = 0) -> int:
            return (await client.get(path.format(number=number))).status_code

        waiting = [asyncio.create_task(get(slow, number)) for number in range(30)]
        await next(asyncio.as_completed(waiting))  # The first answer is a refusal: the route is full.
        beside = [await get(fast, number) for number in range(50)]
        await get(release)
        return await asyncio.gather(*waiting), beside
