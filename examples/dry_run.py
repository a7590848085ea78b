"""A guard on trial: it decides and reports, and refuses nothing.

Run it with `python examples/dry_run.py`, load it, and look at http://127.0.0.1:8000/guard:
what would have been refused, and which fixed limit would have done best.
"""

import asyncio
import logging

import uvicorn
from fastapi import FastAPI

from perfguard import Guard
from perfguard.events import Event, LimitChanged, Refused, StateChanged
from perfguard_fastapi import GuardMiddleware, exempt

logger = logging.getLogger("shop.guard")


def log(event: Event) -> None:
    """Log what an operator wants to know; requests that start and end are many."""
    match event:
        case Refused(reason=reason, queue_time=seconds, enforced=enforced):
            logger.warning("%s: %s after %.0f ms", "refused" if enforced else "would refuse", reason, seconds * 1e3)
        case StateChanged(old=old, new=new):
            logger.warning("backpressure %s -> %s", old, new)
        case LimitChanged(old=old, new=new, reason=reason):
            logger.info("limit %d -> %d (%s)", old, new, reason)


guard = Guard(name="trial", dry_run=True, listeners=[log])
app = FastAPI()
pool = asyncio.Semaphore(4)


@app.get("/orders")
async def orders() -> dict[str, int]:
    """Wait for one of four connections, which no limit can see."""
    async with pool:
        await asyncio.sleep(0.02)
    return {"orders": 3}


@app.get("/guard")
@exempt
async def report() -> dict[str, object]:
    """Show what enforcing would have done."""
    snapshot = guard.snapshot()
    return {
        "would_have_refused": snapshot.refused,
        "advised_limit": snapshot.limiters[0].advised_limit,
    }


app.add_middleware(GuardMiddleware, guard=guard)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    uvicorn.run(app, log_level="warning")
