"""`flask perfguard`, without and with a running server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from perfguard import AdmissionQueue, Guard, KeyedLimiter, Limiter, Priority
from perfguard.limits import FixedLimit
from perfguard_flask import PerfGuard, exempt, priority


def _narrow(key: str) -> Limiter:
    return Limiter(FixedLimit(1), AdmissionQueue(target=0.01, max_wait=0.02, min_length=1, max_length=1))


def _app(guard: Guard | None = None, **config: Any) -> Flask:
    app = Flask("shop", static_folder=None)
    app.config.update(config)
    app.add_url_rule("/items/<int:item>", "item", priority(Priority.HIGH)(lambda item: "item"), methods=["GET", "PUT"])
    app.add_url_rule("/free", "free", exempt(lambda: "free"))
    PerfGuard(app, guard)
    return app


def _run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["perfguard", *arguments])
    return result.exit_code, result.output


@contextmanager
def _served(app: Flask) -> Iterator[str]:
    """Yield the address of a server that runs the application."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_settings_are_shown_with_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the environment makes of them."""
    monkeypatch.setenv("PERFGUARD_DRY_RUN", "1")
    code, output = _run(_app(PERFGUARD_TIMEOUT=2.0))

    assert code == 0
    lines = [line.split(maxsplit=2) for line in output.splitlines()]
    assert ["timeout", "2.0", "PERFGUARD_TIMEOUT"] in lines
    assert ["dry_run", "True", "PERFGUARD_DRY_RUN in the environment"] in lines
    assert ["enabled", "True", "default"] in lines
    assert ["max_streams", "1000", "default"] in lines
    assert "/healthz /livez /readyz /metrics" in output
    assert "--url" in output


def test_rules_are_shown_with_what_was_said_of_them() -> None:
    """Key, methods, priority and exemption."""
    _, output = _run(_app())

    lines = [line.split() for line in output.splitlines()]
    assert ["/items/<int:item>", "GET", "HEAD", "OPTIONS", "PUT", "HIGH"] in lines
    assert ["/free", "GET", "HEAD", "OPTIONS", "NORMAL", "exempt"] in lines


def test_json_says_the_same() -> None:
    """For programs; whatever an argument was, it can be written."""
    app = Flask("shop", static_folder=None)
    PerfGuard(app, exempt=frozenset({"/up"}), snapshot_path="/guard")
    code, output = _run(app, "--json")

    said = json.loads(output)
    assert code == 0
    assert said["settings"]["exempt"] == {"value": ["/up"], "from": "exempt"}
    assert said["settings"]["details"] == {"value": False, "from": "default"}
    assert said["routes"] == [
        {"key": "/guard", "methods": ["GET", "HEAD", "OPTIONS"], "priority": "NORMAL", "exempt": True}
    ]


def test_state_of_a_running_server_is_read_from_its_snapshot() -> None:
    """While one key is in flight and has refused; the path comes from the configuration."""
    app = _app(Guard(KeyedLimiter(_narrow), name="shop"), PERFGUARD_SNAPSHOT_PATH="/guard")
    shown: list[tuple[int, str]] = []

    @app.get("/busy")
    def busy() -> str:
        assert app.test_client().get("/busy").status_code == 503
        with _served(app) as url:
            shown.extend([_run(app, "--url", url), _run(app, "--url", f"{url}/guard", "--json")])
        return "busy"

    assert app.test_client().get("/busy").status_code == 200
    (code, output), (_, as_json) = shown
    assert code == 0
    assert output.startswith("shop: on, state ")
    assert "admitted 1, refused 1 (1 " in output
    assert [line.split()[:5] for line in output.splitlines()[-1:]] == [["/busy", "1", "1", "0", "1"]]
    said = json.loads(as_json)
    assert said["limiters"][0]["key"] == "/busy"
    assert said["limiters"][0]["refused"] == 1
    assert said["pid"] > 0


@pytest.mark.parametrize(
    ("config", "expected"), [({"PERFGUARD_ENABLED": False}, "off"), ({"PERFGUARD_DRY_RUN": True}, "dry run")]
)
def test_state_says_when_nothing_is_enforced(config: dict[str, Any], expected: str) -> None:
    """An operator must not take it for protection."""
    app = _app(PERFGUARD_SNAPSHOT_PATH="/guard", **config)
    with _served(app) as url:
        assert f"shop: {expected}, state normal" in _run(app, "--url", url)[1]


def test_snapshot_is_off_by_default_and_never_refused() -> None:
    """It says how loaded a service is, which is not for everybody."""
    assert _app().test_client().get("/guard").status_code == 404
    app = _app(Guard(KeyedLimiter(_narrow)), PERFGUARD_SNAPSHOT_PATH="/guard")
    client = app.test_client()

    assert [client.get("/guard").status_code for _ in range(3)] == [200] * 3
    assert client.get("/guard").json == client.get("/guard").json
    assert client.post("/guard").status_code == 405
    assert app.extensions["perfguard"].guard.snapshot().admitted == 1


def test_snapshot_goes_through_the_applications_own_checks() -> None:
    """It is a view like any other, so that a login protects it."""
    app = _app(PERFGUARD_SNAPSHOT_PATH="/guard")
    app.before_request(lambda: ("log in first", 401))

    assert app.test_client().get("/guard").status_code == 401


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "must be an address"),
        ("file:///etc/passwd", "must be an address"),
        ("http://", "must be an address"),
        ("http://127.0.0.1:1", "set PERFGUARD_SNAPSHOT_PATH"),
        ("http://127.0.0.1:1/guard", "cannot be read"),
        ("http://[::1", "must be an address"),
        ("http://127.0.0.1:none/guard", "must be an address"),
    ],
)
def test_wrong_address_is_told_what_would_be_right(url: str, message: str) -> None:
    """Without a traceback."""
    code, output = _run(_app(), "--url", url)

    assert code != 0
    assert message in " ".join(output.split())
    assert "Traceback" not in output


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"limiters": 1}', "7", "\\xff"])
@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["table", "json"])
def test_answer_that_is_no_snapshot_is_said_to_be_none(answer: str, arguments: tuple[str, ...]) -> None:
    """Whatever it is."""
    app = _app()
    app.add_url_rule("/other", "other", lambda: answer)
    with _served(app) as url:
        code, output = _run(app, "--url", f"{url}/other", *arguments)
        _, missing = _run(app, "--url", f"{url}/missing", *arguments)

    assert code == 1
    assert "is no snapshot of perfguard" in output
    assert "HTTP Error 404" in missing
