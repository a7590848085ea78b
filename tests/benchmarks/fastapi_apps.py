"""The FastAPI applications that are measured: `APP` names one, `PROTECTION` what stands in front of it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fastapi import FastAPI

from perfguard_fastapi import GuardMiddleware
from tests.benchmarks.turning_away import TurningAway
from tests.benchmarks.work import burn

WORK = float(os.environ.get("WORK", "0"))


def threads() -> FastAPI:
    """A sync endpoint, which FastAPI runs in its thread pool."""
    service = FastAPI()

    @service.get("/")
    def compute() -> dict[str, str]:
        burn(WORK)
        return {"status": "ok"}

    return service


def routes() -> FastAPI:
    """One route that answers at once, beside one that waits for a pool of ten connections of 20 ms."""
    service = FastAPI()
    pool: list[asyncio.Semaphore] = []

    @service.get("/fast")
    async def fast() -> dict[str, str]:
        return {"status": "ok"}

    @service.get("/slow")
    async def slow() -> dict[str, str]:
        if not pool:
            pool.append(asyncio.Semaphore(10))
        async with pool[0]:
            await asyncio.sleep(0.02)
        return {"status": "ok"}

    return service


def protected(service: FastAPI, protection: str) -> Any:
    """The service behind what its users would install."""
    if protection == "perfguard":
        service.add_middleware(GuardMiddleware)
    elif protection == "turning away":
        return TurningAway(service, float(os.environ["SHARE"]), os.environ.get("TURNED_AWAY") or None)
    return service


_APPS = {"threads": threads, "routes": routes}
app = protected(_APPS[os.environ.get("APP", "threads")](), os.environ.get("PROTECTION", "none"))
