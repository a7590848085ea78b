"""What gunicorn serves in test_server.py: a route that can be saturated beside a fast one."""

import threading

from flask import Flask

from perfguard import AdmissionQueue, Guard, KeyedLimiter, Limiter
from perfguard.limits import FixedLimit
from perfguard_flask import PerfGuard, exempt

released = threading.Event()


def _limiter(key: str) -> Limiter:
    """Let two be in flight and one wait for 20 ms on the slow route."""
    if key != "/slow/<int:number>":
        return Limiter()
    return Limiter(FixedLimit(2), AdmissionQueue(target=0.01, max_wait=0.02, min_length=1, max_length=1))


app = Flask("shop")
app.config["PERFGUARD_SNAPSHOT_PATH"] = "/guard"
PerfGuard(app, Guard(KeyedLimiter(_limiter), name="shop"))


@app.get("/slow/<int:number>")
def slow(number: int) -> str:
    """Wait until somebody lets it go."""
    released.wait()
    return "slow"


@app.get("/work")
def work() -> str:
    """Compute for about 2 ms."""
    return str(sum(number * number for number in range(20_000)))


@app.get("/fast")
def fast() -> str:
    """Answer at once."""
    return "fast"


@app.get("/release")
@exempt
def release() -> str:
    """Let the slow ones go."""
    released.set()
    return "released"
