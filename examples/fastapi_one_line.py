"""A FastAPI service that keeps answering under any load, by one line.

Run it with `python examples/fastapi_one_line.py`, and load it from another terminal:

    perfguard load http://127.0.0.1:8000/report --rate 2000 --duration 10 --deadline 1s
"""

import uvicorn
from fastapi import FastAPI

from perfguard.asgi import GuardMiddleware

app = FastAPI()


@app.get("/report")
async def report() -> dict[str, int]:
    """Compute for about two milliseconds."""
    return {"total": sum(number * number for number in range(30_000))}


app.add_middleware(GuardMiddleware)

if __name__ == "__main__":
    uvicorn.run(app, log_level="warning")
