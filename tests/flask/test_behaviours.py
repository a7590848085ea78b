"""Flask behaves around the guard as it does without it, message for message."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    after_this_request,
    current_app,
    g,
    redirect,
    request,
    send_file,
    session,
    stream_with_context,
)
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from werkzeug.test import EnvironBuilder

from perfguard import Guard, KeyedLimiter
from perfguard_flask import PerfGuard
from perfguard_flask.middleware import GuardMiddleware

Log = list[str]


def _application(log: Log, folder: Path) -> Flask:
    """Build an application that does much of what Flask can, and logs the order of it."""
    if not (folder / "style.css").exists():  # Once, since its time is part of the answer.
        (folder / "style.css").write_text("body {}")
    app = Flask(__name__, static_folder=str(folder), static_url_path="/static")
    app.secret_key = "for tests"
    _hooks(app, log)
    _views(app)
    _conditional_views(app, folder)
    _other_views(app)
    _streams(app, log)
    _blueprints(app, log)
    return app


def _hooks(app: Flask, log: Log) -> None:
    @app.before_request
    def before() -> ResponseReturnValue | None:
        log.append(f"before {request.endpoint}")
        g.user = "ann"
        return ("stopped", 418) if request.args.get("stop") else None

    @app.after_request
    def after(response: Response) -> Response:
        log.append(f"after {response.status_code}")
        response.headers["X-After"] = g.user
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        log.append(f"teardown request {error!r}")

    @app.teardown_appcontext
    def teardown_context(error: BaseException | None) -> None:
        log.append(f"teardown context {error!r}")

    @app.errorhandler(KeyError)
    def missing(error: KeyError) -> ResponseReturnValue:
        log.append("handler")
        return f"missing {error}", 410

    @app.errorhandler(404)
    def not_found(error: Exception) -> ResponseReturnValue:
        return {"error": "nothing here"}, 404


def _views(app: Flask) -> None:
    @app.route("/hello/<name>", methods=["GET", "POST"])
    def hello(name: str) -> ResponseReturnValue:
        @after_this_request
        def mark(response: Response) -> Response:
            response.set_cookie("seen", name)
            return response

        return f"hello {name} {request.get_data(as_text=True)} {current_app.name}"

    @app.get("/visits")
    def visits() -> ResponseReturnValue:
        session["visits"] = session.get("visits", 0) + 1
        return {"visits": session["visits"]}

    @app.get("/error/<kind>")
    def error(kind: str) -> ResponseReturnValue:
        if kind == "abort":
            abort(403)
        raise {"handled": KeyError("key"), "interrupt": KeyboardInterrupt()}.get(kind) or ValueError(kind)


def _conditional_views(app: Flask, folder: Path) -> None:
    @app.get("/etag")
    def etag() -> ResponseReturnValue:
        response = Response("tagged")
        response.set_etag("one")
        return response.make_conditional(request)

    @app.get("/file")
    def file() -> ResponseReturnValue:
        return send_file(folder / "style.css", conditional=True)

    @app.get("/bytes")
    def from_memory() -> ResponseReturnValue:
        return send_file(io.BytesIO(b"bytes" * 1000), mimetype="text/plain")


def _other_views(app: Flask) -> None:
    @app.get("/branch/")
    def branch() -> ResponseReturnValue:
        return redirect("/etag")

    @app.get("/late")
    async def late() -> ResponseReturnValue:
        return "from a coroutine"

    class Items(MethodView):
        def get(self) -> ResponseReturnValue:
            return ["get"]

        def put(self) -> ResponseReturnValue:
            return "", 204

    app.add_url_rule("/items", view_func=Items.as_view("items"))


def _streams(app: Flask, log: Log) -> None:
    def parts(fail: str = "") -> Iterator[str]:
        try:
            for number in range(3):
                yield f"{number} {g.user}\n"
                if fail:
                    raise OSError(fail)
        finally:
            log.append("generator ended")

    @app.get("/stream")
    def stream() -> ResponseReturnValue:
        response = Response(stream_with_context(parts(request.args.get("fail", ""))))
        response.call_on_close(lambda: log.append("closed"))
        return response

    @app.get("/generator")
    def generator() -> ResponseReturnValue:
        def plain() -> Iterator[bytes]:
            yield b""
            yield b"late"

        return plain(), 203, {"X-Kind": "generator"}


def _blueprints(app: Flask, log: Log) -> None:
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)

    @inner.before_request
    def inner_before() -> None:
        log.append("inner before")

    @inner.errorhandler(ZeroDivisionError)
    def division(error: Exception) -> ResponseReturnValue:
        return "no division", 422

    @inner.get("/divide/<int:by>")
    def divide(by: int) -> ResponseReturnValue:
        return str(1 // by)

    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")


class _Exchange:
    """What a server sees of one request, to the last part or to the one after which the client leaves."""

    def __init__(self, app: Callable[..., Any], environ: dict[str, Any], log: Log, leave_after: int | None) -> None:
        self.messages: list[Any] = []
        self._log = log
        try:
            self._follow(app(environ, self._start), leave_after)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the same in both.
            self.messages.append(("raised", repr(error)))
        self.messages.append(("log", *log))

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        headers = [(name, _stable(name, value)) for name, value in headers]
        self.messages.append(("start", status, headers, exc_info is not None))
        return lambda data: self.messages.append(("written", data))

    def _follow(self, body: Any, leave_after: int | None) -> None:
        try:
            for number, part in enumerate(body):
                self.messages.append(("part", part, len(self._log)))
                if number == leave_after:
                    break
        finally:
            if hasattr(body, "close"):
                body.close()


def _stable(name: str, value: str) -> str:
    """Leave out the instants: the date, and that in a signed cookie."""
    if name == "Date":
        return ""
    return value.partition("=")[0] if name == "Set-Cookie" else value


def _messages(app: Flask, log: Log, leave_after: int | None = None, **request: Any) -> list[Any]:
    log.clear()
    environ = EnvironBuilder(**request).get_environ()
    environ["wsgi.errors"] = io.StringIO()
    return _Exchange(app, environ, log, leave_after).messages


REQUESTS: dict[str, dict[str, Any]] = {
    "get": {"path": "/hello/ann"},
    "post": {"path": "/hello/ann", "method": "POST", "data": b"body"},
    "head": {"path": "/hello/ann", "method": "HEAD"},
    "automatic options": {"path": "/hello/ann", "method": "OPTIONS"},
    "method not allowed": {"path": "/hello/ann", "method": "DELETE"},
    "no route": {"path": "/nowhere"},
    "slash redirect": {"path": "/branch"},
    "slash redirect of a post": {"path": "/branch", "method": "POST"},
    "merged slashes": {"path": "/hello//ann"},
    "redirect": {"path": "/branch/"},
    "stopped before": {"path": "/hello/ann?stop=1"},
    "abort": {"path": "/error/abort"},
    "handled error": {"path": "/error/handled"},
    "error": {"path": "/error/other"},
    "interrupt": {"path": "/error/interrupt"},
    "session": {"path": "/visits"},
    "etag": {"path": "/etag"},
    "not modified": {"path": "/etag", "headers": {"If-None-Match": '"one"'}},
    "static file": {"path": "/static/style.css"},
    "static file, head": {"path": "/static/style.css", "method": "HEAD"},
    "no static file": {"path": "/static/none.css"},
    "file": {"path": "/file"},
    "file range": {"path": "/file", "headers": {"Range": "bytes=0-3"}},
    "file in memory": {"path": "/bytes"},
    "stream": {"path": "/stream"},
    "stream, head": {"path": "/stream", "method": "HEAD"},
    "stream that fails": {"path": "/stream?fail=1"},
    "stream left early": {"path": "/stream", "leave_after": 1},
    "stream left at once": {"path": "/stream", "leave_after": 0},
    "generator": {"path": "/generator"},
    "coroutine": {"path": "/late"},
    "class of views": {"path": "/items"},
    "class of views, put": {"path": "/items", "method": "PUT"},
    "class of views, head": {"path": "/items", "method": "HEAD"},
    "nested blueprint": {"path": "/outer/inner/divide/1"},
    "nested blueprint's handler": {"path": "/outer/inner/divide/0"},
    "mounted": {"path": "/hello/ann", "base_url": "http://localhost/prefix"},
}


@pytest.mark.parametrize("options", [{}, {"timeout": 30.0}, {"enabled": False}, {"dry_run": True}], ids=str)
@pytest.mark.parametrize("config", [{}, {"TESTING": True}], ids=["served", "testing"])
@pytest.mark.parametrize("request_", list(REQUESTS.values()), ids=list(REQUESTS))
def test_server_sees_the_same_messages(
    tmp_path: Path, request_: dict[str, Any], config: dict[str, Any], options: dict[str, Any]
) -> None:
    """Status, headers, each part, what is raised, and the order in which hooks ran."""
    log: Log = []
    bare, guarded = _application(log, tmp_path), _application(log, tmp_path)
    bare.config.update(config)
    guarded.config.update(config)
    PerfGuard(guarded, **options)

    expected = _messages(bare, log, **request_)
    assert _messages(guarded, log, **request_) == expected
    assert len(expected) > 1
    snapshot = guarded.extensions["perfguard"].guard.snapshot()
    assert snapshot.in_flight == 0
    assert snapshot.admitted == sum(snapshot.settled.values()) == (options.get("enabled") is not False)


@pytest.mark.parametrize("name", ["get", "head", "not modified", "file", "stream", "handled error", "no route"])
def test_validator_passes_inside_and_around(tmp_path: Path, name: str) -> None:
    """PEP 3333 is kept on both sides."""
    log: Log = []
    app = _application(log, tmp_path)
    app.wsgi_app = validator(app.wsgi_app)  # type: ignore[method-assign, assignment]
    PerfGuard(app)
    app.wsgi_app = validator(app.wsgi_app)  # type: ignore[method-assign, assignment]

    with app.test_client().open(**REQUESTS[name]) as response:
        assert response.status_code < 500
        response.get_data()


def test_session_is_kept_between_requests(tmp_path: Path) -> None:
    """The cookie goes through."""
    app = _application([], tmp_path)
    PerfGuard(app)
    client = app.test_client()

    assert [client.get("/visits").json for _ in range(3)] == [{"visits": number} for number in (1, 2, 3)]


def test_client_block_keeps_the_context(tmp_path: Path) -> None:
    """Flask's test client shows `g` and `session` after a request."""
    app = _application([], tmp_path)
    PerfGuard(app)

    with app.test_client() as client:
        client.get("/visits")
        assert session["visits"] == 1
        assert g.user == "ann"


def test_threads_give_back_all_permits(tmp_path: Path) -> None:
    """Whatever the requests come to, and however early their clients leave."""
    app = _application([], tmp_path)
    PerfGuard(app, Guard(KeyedLimiter(max_keys=3)))
    middleware: GuardMiddleware = app.extensions["perfguard"]
    start = threading.Barrier(8)

    def ask(shift: int) -> None:
        start.wait()
        requests = list(REQUESTS.values())
        for each in requests[shift:] + requests[:shift]:
            _messages(app, [], **each)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))

    snapshot = middleware.guard.snapshot()
    assert (snapshot.in_flight, snapshot.queued) == (0, 0)
    assert snapshot.admitted == sum(snapshot.settled.values())
    assert snapshot.admitted + sum(snapshot.refused.values()) == 8 * len(REQUESTS)
    assert all(each.in_flight == 0 for each in snapshot.limiters)
