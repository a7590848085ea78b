"""A Flask service with a limit for each URL rule, priorities, an exemption and a deadline.

Run it with `gunicorn --chdir examples --threads 8 flask_app:app`, and look at its limits
from another terminal while the reports are under load:

    flask --app examples/flask_app perfguard --url http://127.0.0.1:8000
"""

import threading
import time

from flask import Blueprint, Flask, abort
from flask.typing import ResponseReturnValue

from perfguard.context import remaining
from perfguard_flask import PerfGuard, Priority, exempt, priority

app = Flask(__name__)
app.config.update(PERFGUARD_TIMEOUT=2.0, PERFGUARD_SNAPSHOT_PATH="/guard")
batch = priority(Priority.BACKGROUND)(Blueprint("batch", __name__, url_prefix="/batch"))
database = threading.Semaphore(4)


@app.get("/products/<int:product>")
@priority(Priority.HIGH)
def product(product: int) -> ResponseReturnValue:
    """Answer at once."""
    return {"product": product}


@app.get("/reports/<int:customer>")
def report(customer: int) -> ResponseReturnValue:
    """Wait for one of four connections, for no longer than the client waits for the answer."""
    if not database.acquire(timeout=max(0.0, remaining() or 0.0)):
        abort(504)
    try:
        time.sleep(0.05)
    finally:
        database.release()
    return {"customer": customer}


@batch.get("/reports")
def all_reports() -> ResponseReturnValue:
    """Serve a client that can wait."""
    time.sleep(0.05)
    return {"reports": "all"}


@app.get("/version")
@exempt
def version() -> ResponseReturnValue:
    """Answer whatever the load."""
    return {"version": 1}


app.register_blueprint(batch)
PerfGuard(app)

if __name__ == "__main__":
    app.run(port=8000)
