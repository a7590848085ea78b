"""A FastAPI service with a limit for each route, priorities, an exemption and a deadline.

Run it with `python examples/fastapi_routes.py`. While the reports are saturated, `/products`
is served as if nothing were the matter, and `/guard` shows the limit of each route.
"""

import asyncio

import uvicorn
from fastapi import APIRouter, Depends, FastAPI

from perfguard import Guard, KeyedLimiter
from perfguard_fastapi import GuardMiddleware, Priority, Remaining, exempt, priority

guard = Guard(KeyedLimiter(), name="shop")
app = FastAPI()
batch = APIRouter(prefix="/batch", dependencies=[Depends(priority(Priority.BACKGROUND))])


@app.get("/products/{product}")
@priority(Priority.HIGH)
async def product(product: int) -> dict[str, int]:
    """Answer at once."""
    return {"product": product}


@app.get("/reports/{customer}")
async def report(customer: int, remaining: Remaining) -> dict[str, int]:
    """Wait for a slow back end, for no longer than the client does."""
    async with asyncio.timeout(remaining):
        await asyncio.sleep(0.2)
    return {"customer": customer}


@batch.get("/reports")
async def all_reports() -> dict[str, str]:
    """Serve a client that can wait."""
    await asyncio.sleep(0.2)
    return {"reports": "all"}


@app.get("/guard")
@exempt
async def state() -> dict[str, object]:
    """Show the guard's state, overload or not."""
    snapshot = guard.snapshot()
    return {
        "state": snapshot.state,
        "refused": snapshot.refused,
        "limits": {each.key: f"{each.in_flight}/{each.limit}, {each.queued} queued" for each in snapshot.limiters},
    }


app.include_router(batch)
app.add_middleware(GuardMiddleware, guard=guard, timeout=2.0)

if __name__ == "__main__":
    uvicorn.run(app, log_level="warning")
