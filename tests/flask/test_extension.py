"""The extension: configuration, several applications, and what a request counts as."""

import logging
import subprocess
import sys
from typing import Any

import pytest
from flask import Blueprint, Flask, abort
from werkzeug.test import EnvironBuilder

from perfguard import AdmissionQueue, ConfigurationError, Guard, KeyedLimiter, Limiter, Priority
from perfguard.context import current_deadline, remaining
from perfguard.events import Admitted, Event, Settled
from perfguard.limits import FixedLimit
from perfguard.outcome import Outcome
from perfguard_flask import PerfGuard, exempt, priority
from perfguard_flask.middleware import GuardMiddleware


def _flask(**config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(config)
    app.add_url_rule("/items/<int:item>", "item", lambda item: "item")
    app.add_url_rule("/high", "high", priority(Priority.HIGH)(lambda: "high"))
    app.add_url_rule("/free", "free", exempt(lambda: "free"))
    app.add_url_rule("/remaining", "remaining", lambda: {"deadline": current_deadline.get() is not None})
    app.add_url_rule("/free-remaining", "free_remaining", exempt(lambda: {"left": remaining()}))
    return app


def _recording() -> tuple[Guard, list[Event]]:
    events: list[Event] = []
    return Guard(KeyedLimiter(), listeners=[events.append]), events


def _keys(events: list[Event]) -> list[tuple[str, Priority]]:
    return [(each.key, each.priority) for each in events if isinstance(each, Admitted)]


def _get(app: Flask, *paths: str) -> list[int]:
    client = app.test_client()
    statuses = []
    for path in paths:
        with client.get(path) as response:
            statuses.append(response.status_code)
    return statuses


def _guarding(app: Flask) -> GuardMiddleware:
    middleware: GuardMiddleware = app.extensions["perfguard"]
    return middleware


def test_calls_carry_template_and_priority() -> None:
    """Requests count by rule; what no rule takes shares a key; the exempt do not count."""
    guard, events = _recording()
    app = _flask()
    PerfGuard(app, guard)

    statuses = _get(app, "/items/1", "/items/2", "/high", "/free", "/healthz", "/no", "/never", "/static/none")

    assert statuses == [200, 200, 200, 200, 404, 404, 404, 404]
    assert _keys(events) == [
        ("/items/<int:item>", Priority.NORMAL),
        ("/items/<int:item>", Priority.NORMAL),
        ("/high", Priority.HIGH),
        ("_UNMATCHED", Priority.NORMAL),
        ("_UNMATCHED", Priority.NORMAL),
        ("/static/<path:filename>", Priority.NORMAL),
    ]


def test_saturated_route_sheds_itself_alone() -> None:
    """While one route is full, its requests are refused and its neighbour's are served."""
    app = _flask()
    inside: list[int] = []

    @app.get("/slow")
    def slow() -> str:
        # From inside the one call that may be in flight.
        inside.extend(_get(app, "/slow", "/items/1", "/high") if not inside else [])
        return "slow"

    def narrow(key: str) -> Limiter:
        return Limiter(FixedLimit(1), AdmissionQueue(target=0.01, max_wait=0.02, min_length=1, max_length=1))

    PerfGuard(app, Guard(KeyedLimiter(narrow)))

    assert _get(app, "/slow") == [200]
    assert inside == [503, 200, 200]
    assert _get(app, "/slow") == [200]


def test_routes_and_blueprints_added_after_init_app_are_known() -> None:
    """As in an application factory."""
    guard, events = _recording()
    app = _flask()
    PerfGuard(app, guard)
    late = priority(Priority.LOW)(Blueprint("late", __name__))
    late.add_url_rule("/<name>", "view", lambda name: name)
    app.register_blueprint(late, url_prefix="/late")

    assert _get(app, "/late/one") == [200]
    assert _keys(events) == [("/late/<name>", Priority.LOW)]


def test_rules_added_while_serving_are_known() -> None:
    """Where a view function comes with them."""
    guard, events = _recording()
    app = _flask()
    PerfGuard(app, guard)
    _guarding(app).table  # noqa: B018 - it is made here.

    assert _get(app, "/late") == [404]
    app.url_map.add(app.url_rule_class("/late", endpoint="late", methods=["GET"]))
    app.view_functions["late"] = lambda: "late"
    assert _get(app, "/late") == [200]
    assert [key for key, _ in _keys(events)] == ["_UNMATCHED", "/late"]


def test_one_extension_serves_several_applications() -> None:
    """Each has a guard and settings of its own."""
    extension = PerfGuard(timeout=5.0)
    first, second = _flask(), _flask(PERFGUARD_ENABLED=False)
    extension.init_app(first)
    extension.init_app(second)

    assert _get(first, "/high") == _get(second, "/high") == [200]
    assert _guarding(first).guard is not _guarding(second).guard
    assert _guarding(first).guard.snapshot().admitted == 1
    assert _guarding(second).guard.snapshot().admitted == 0
    assert vars(extension) == {"_guard": None, "_options": {"timeout": 5.0}}


def test_guard_carries_the_name_of_the_application() -> None:
    """For events and snapshots."""
    app = _flask()
    PerfGuard(app)

    assert _guarding(app).guard.name == "shop"
    assert repr(_guarding(app)).startswith("<GuardMiddleware <Guard shop")


def test_configuration_is_read_from_the_application() -> None:
    """Under the names of the arguments."""
    app = _flask(
        PERFGUARD_DRY_RUN=True, PERFGUARD_TIMEOUT=2.0, PERFGUARD_MAX_KEYS=7, PERFGUARD_EXEMPT=["/high"], OTHER=1
    )
    PerfGuard().init_app(app)

    assert _get(app, "/high") == [200]
    guard = _guarding(app).guard
    assert guard.dry_run
    assert guard.snapshot().admitted == 0
    assert "0/7 keys" in repr(guard)
    assert app.test_client().get("/remaining").json == {"deadline": True}


def test_arguments_win_over_the_configuration() -> None:
    """`None` says something too."""
    app = _flask(PERFGUARD_TIMEOUT=2.0, PERFGUARD_MAX_KEYS=7, PERFGUARD_DRY_RUN=True)
    PerfGuard(app, timeout=None, max_keys=8, dry_run=False)

    guard = _guarding(app).guard
    assert not guard.dry_run
    assert "0/8 keys" in repr(guard)
    assert app.test_client().get("/remaining").json == {"deadline": False}


@pytest.mark.parametrize(
    ("variable", "said", "configured", "expected"),
    [
        ("PERFGUARD_ENABLED", "0", {"PERFGUARD_ENABLED": True}, (False, False)),
        ("PERFGUARD_ENABLED", "on", {"PERFGUARD_ENABLED": False}, (True, False)),
        ("PERFGUARD_ENABLED", " ", {"PERFGUARD_ENABLED": False}, (False, False)),
        ("PERFGUARD_ENABLED", "default", {"PERFGUARD_ENABLED": False}, (False, False)),
        ("PERFGUARD_ENABLED", "0", {}, (False, False)),
        ("PERFGUARD_DRY_RUN", "1", {"PERFGUARD_DRY_RUN": False}, (True, True)),
        ("PERFGUARD_DRY_RUN", "1", {}, (True, True)),
        ("PERFGUARD_DRY_RUN", "", {"PERFGUARD_DRY_RUN": None}, (True, False)),
    ],
)
def test_environment_wins_over_the_configuration(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str, configured: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    """An operator needs no deploy; an empty variable is none."""
    monkeypatch.setenv(variable, said)
    app = _flask(**configured)
    PerfGuard(app)

    assert (_guarding(app).guard.enabled, _guarding(app).guard.dry_run) == expected


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a guard do."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "0")
    app = _flask()
    PerfGuard(app, enabled=True)

    assert _guarding(app).guard.enabled


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("enabled", "yes", "must be True, False, or None"),
        ("dry_run", 1, "must be True, False, or None"),
        ("timeout", -1.0, "must be a positive number of seconds"),
        ("timeout", "2", "must be a positive number of seconds"),
        ("max_streams", 1.5, "must be a whole number"),
        ("details", "no", "must be True or False"),
        ("exempt", "/healthz", "must be a sequence of paths, not one string"),
        ("exempt", ["healthz"], "must be paths that begin with"),
        ("trusted_proxies", ["10.0.0.0/99"], "must be"),
        ("trusted_proxies", "10.0.0.1", "must be a sequence"),
        ("max_keys", 0, "must be at least 1"),
        ("max_keys", None, "must be a whole number"),
        ("snapshot_path", "guard", "must be a path"),
        ("snapshot_path", "/<guard>", "must be a path"),
        ("snapshot_path", 7, "must be a path"),
        ("timeot", 2.0, "is no setting; there are"),
    ],
)
def test_wrong_value_is_named_as_its_user_typed_it(option: str, value: Any, remedy: str) -> None:
    """In `app.config` and as an argument; the application stays as it was."""
    for app, options, typed in (
        (_flask(**{f"PERFGUARD_{option.upper()}": value}), {}, f"PERFGUARD_{option.upper()}"),
        (_flask(), {option: value}, option),
    ):
        extension = PerfGuard(**options)
        with pytest.raises(ConfigurationError, match=remedy) as raised:
            extension.init_app(app)

        assert raised.value.name == typed
        assert str(raised.value).startswith(f"{typed} ")
        assert "perfguard" not in app.extensions
        assert not isinstance(app.wsgi_app, GuardMiddleware)


def test_configuration_of_others_may_have_any_key() -> None:
    """A number is no setting of this."""
    app = _flask()
    config: dict[Any, Any] = app.config
    config[7] = "seven"

    PerfGuard(app)

    assert _get(app, "/high") == [200]


def test_unknown_setting_is_told_what_there_is() -> None:
    """In the spelling of the place where it was typed."""
    with pytest.raises(ConfigurationError, match=r"there are PERFGUARD_DETAILS, .*PERFGUARD_TIMEOUT, "):
        PerfGuard(_flask(PERFGUARD_TIMEOT=2.0))
    unknown: Any = {"timeot": 2.0}
    with pytest.raises(ConfigurationError, match=r"there are details, .*timeout, "):
        PerfGuard(_flask(), **unknown)


@pytest.mark.parametrize("option", ["max_keys", "enabled", "dry_run"])
def test_what_belongs_to_a_guard_cannot_be_set_beside_it(option: str) -> None:
    """Neither would know of the other."""
    with pytest.raises(ConfigurationError, match=f"PERFGUARD_{option.upper()} belongs to the guard that is given"):
        PerfGuard(_flask(**{f"PERFGUARD_{option.upper()}": True}), Guard())


def test_environment_may_be_set_beside_a_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read when the guard was built."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "0")
    app = _flask()
    PerfGuard(app, Guard())

    assert not _guarding(app).guard.enabled


def test_wrong_word_in_the_environment_is_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as it is spelt there."""
    monkeypatch.setenv("PERFGUARD_ENABLED", "maybe")

    with pytest.raises(ConfigurationError, match="PERFGUARD_ENABLED must be 1 or 0 in the environment"):
        PerfGuard(_flask())
    program = [sys.executable, "-c", "import perfguard_flask"]
    assert b"PERFGUARD_ENABLED must be 1 or 0" in subprocess.run(program, capture_output=True, check=False).stderr


@pytest.mark.parametrize("wrong", [None, "app", _flask().wsgi_app])
def test_only_a_flask_application_can_be_guarded(wrong: Any) -> None:
    """Say, not its `wsgi_app`."""
    with pytest.raises(ConfigurationError, match="app must be a Flask application"):
        PerfGuard().init_app(wrong)


def test_guard_must_be_one() -> None:
    """A limiter is none."""
    wrong: Any = KeyedLimiter()
    with pytest.raises(ConfigurationError, match="guard must be a Guard or None"):
        PerfGuard(_flask(), wrong)


def test_application_is_not_guarded_twice() -> None:
    """Each request would wait in two queues."""
    app = _flask()
    PerfGuard(app)

    with pytest.raises(ConfigurationError, match="call init_app once"):
        PerfGuard(app)


def test_switched_off_guard_looks_nothing_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An operator's switch takes the lookup out of the way as well."""
    app = _flask()
    PerfGuard(app, enabled=False)
    monkeypatch.setattr("perfguard_flask.middleware.RouteTable", lambda app: 1 / 0)

    assert _get(app, "/high", "/free") == [200, 200]
    assert caplog.records == []


def test_exempt_view_has_no_deadline() -> None:
    """With the guard on and off, when all others have one."""
    for enabled in (True, False):
        app = _flask()
        PerfGuard(app, timeout=5.0, enabled=enabled)
        client = app.test_client()

        assert client.get("/remaining").json == {"deadline": True}
        assert client.get("/free-remaining").json == {"left": None}
        assert current_deadline.get() is None


def test_rules_that_cannot_be_read_share_one_limit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on; the reason is logged once, not for each of them."""
    guard, events = _recording()
    app = _flask()
    PerfGuard(app, guard)
    monkeypatch.setattr("perfguard_flask.middleware.RouteTable", lambda app: 1 / 0)

    with caplog.at_level(logging.ERROR):
        assert _get(app, "/items/1", "/high", "/free") == [200, 200, 200]

    assert [key for key, _ in _keys(events)] == ["_UNMATCHED"] * 3
    assert [record.name for record in caplog.records] == ["perfguard"]
    assert "the URL rules cannot be read" in caplog.text


def test_request_that_cannot_be_matched_is_unmatched(caplog: pytest.LogCaptureFixture) -> None:
    """A server that breaks PEP 3333 breaks what it breaks without the guard."""
    guard, events = _recording()
    app = _flask()
    PerfGuard(app, guard)
    environ = EnvironBuilder().get_environ() | {"PATH_INFO": "/€"}

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(UnicodeEncodeError):
                app(dict(environ), lambda *_: print)

    assert _keys(events) == [("_UNMATCHED", Priority.NORMAL)] * 2
    assert len(caplog.records) == 1


def test_middleware_added_later_stands_outside() -> None:
    """Flask's way to add WSGI middleware goes on to work."""
    app = _flask()
    PerfGuard(app)
    guarded = app.wsgi_app
    seen: list[str] = []

    def outer(environ: Any, start_response: Any) -> Any:
        seen.append(environ["PATH_INFO"])
        return guarded(environ, start_response)

    app.wsgi_app = outer  # type: ignore[method-assign]

    assert _get(app, "/high") == [200]
    assert seen == ["/high"]


def test_outcomes_are_those_of_the_responses() -> None:
    """An error that Flask turns into a page counts as one."""
    guard, events = _recording()
    app = _flask()
    app.add_url_rule("/error", "error", lambda: abort(500))
    PerfGuard(app, guard)

    assert _get(app, "/high", "/none", "/error") == [200, 404, 500]
    outcomes = [each.outcome for each in events if isinstance(each, Settled)]
    assert outcomes == [Outcome.SUCCESS, Outcome.IGNORED, Outcome.FAILURE]
