"""The WSGI servers that the tests run."""

from __future__ import annotations

APP = "tests.wsgi.guarded_app:app"
GUNICORN = ["-m", "gunicorn", APP, "-b", "127.0.0.1:{port}"]
WAITRESS = ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=8", "--channel-request-lookahead=5", APP]
WERKZEUG = """
from werkzeug.serving import run_simple
from tests.wsgi.guarded_app import app
run_simple("127.0.0.1", {port}, app, threaded={threaded})
"""

CONCURRENT = {
    "gunicorn gthread": [*GUNICORN, "-k", "gthread", "--threads", "8"],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent"],
    "waitress": WAITRESS,
    "werkzeug": ["-c", WERKZEUG.replace("{threaded}", "True")],
}
SINGLE = {
    "gunicorn sync": GUNICORN,
    "gunicorn gthread 1": [*GUNICORN, "-k", "gthread", "--threads", "1"],
    "gunicorn gevent": [*GUNICORN, "-k", "gevent"],
    "gunicorn gevent_pywsgi": [*GUNICORN, "-k", "gevent_pywsgi"],
    "werkzeug 1": ["-c", WERKZEUG.replace("{threaded}", "False")],
}
