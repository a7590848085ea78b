"""The setting, the system checks and the command."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, run_checks  # noqa: A004 - Django's names
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import override_settings
from django.urls import URLPattern, path, re_path
from django.utils.translation import gettext_lazy

from perfguard import Call, ConfigurationError, Guard
from perfguard.targets import UNMATCHED
from perfguard_django import GuardMiddleware, Priority
from perfguard_django.options import DEFAULTS, Exempt
from perfguard_django.routes import RouteTable
from tests.django import project as views
from tests.django.driving import ask, guarded, project

shared = Guard(name="shared")
not_a_guard = "guard"

WRONG: list[tuple[str, Any]] = [
    ("ENABLED", "no"),
    ("DRY_RUN", 1),
    ("TIMEOUT", -1.0),
    ("TIMEOUT", True),
    ("TIMEOUT", 10**400),
    ("MAX_STREAMS", -1),
    ("MAX_STREAMS", None),
    ("DETAILS", "yes"),
    ("EXEMPT", "/healthz"),
    ("EXEMPT", ["healthz"]),
    ("EXEMPT", 3),
    ("EXEMPT", iter(["/healthz"])),
    ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ("TRUSTED_PROXIES", ["proxy"]),
    ("TRUSTED_PROXIES", iter(["10.0.0.0/8"])),
    ("MAX_KEYS", 0),
    ("GUARD", "nowhere.guard"),
    ("GUARD", "guard"),
    ("GUARD", f"{__name__}.not_a_guard"),
    ("GUARD", 7),
    ("GUARD", ".guard"),
    ("GUARD", ".."),
]


def _checked() -> list[CheckMessage]:
    return [each for each in run_checks() if str(each.id).startswith("perfguard.")]


def test_a_project_as_the_documents_say_has_nothing_to_be_told() -> None:
    """First in the list, and nothing set."""
    with project(settings.GUARD, *settings.BELOW):
        assert _checked() == []


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_an_error_that_says_what_is_right(name: str, value: Any) -> None:
    """And the middleware does not start with it."""
    with project(settings.GUARD, **{name: value}):
        (message,) = _checked()
        with pytest.raises(ConfigurationError, match=name) as raised:
            WSGIHandler()

    assert isinstance(message, Error)
    assert message.id == "perfguard.E001"
    assert f"PERFGUARD[{name!r}]" in message.msg
    assert raised.value.remedy in str(message.hint)


def test_every_wrong_value_is_told_at_once() -> None:
    """Not one after the other."""
    with project(settings.GUARD, TIMEOUT=0, MAX_KEYS="many", DETAIL=True):
        assert sorted(str(each.id) for each in _checked()) == ["perfguard.E001", "perfguard.E001", "perfguard.E002"]


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    """A name that was mistyped would else do nothing."""
    with project(settings.GUARD, TIMOUT=2.0):
        (message,) = _checked()

    assert message.id == "perfguard.E002"
    assert "'TIMEOUT'" in str(message.hint)


@pytest.mark.parametrize("setting", [None, [], "on"])
def test_a_setting_that_is_no_dictionary_is_an_error(setting: Any) -> None:
    """Whatever it is."""
    with override_settings(PERFGUARD=setting, MIDDLEWARE=[settings.GUARD]):
        (message,) = _checked()

    assert message.id == "perfguard.E001"


@pytest.mark.parametrize("name", ["ENABLED", "DRY_RUN", "MAX_KEYS"])
def test_what_belongs_to_the_guard_is_not_set_beside_it(name: str) -> None:
    """It would do nothing."""
    with project(settings.GUARD, GUARD=shared, **{name: 1 if name == "MAX_KEYS" else True}):
        (message,) = _checked()

    assert name in message.msg
    assert "belongs to the guard" in str(message.hint)


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ([settings.BELOW[0], settings.GUARD], [("perfguard.W001", Warning)]),
        ([settings.GUARD, settings.BELOW[0], settings.GUARD], [("perfguard.E003", Error)]),
        ([settings.BELOW[0]], [("perfguard.W002", Warning)]),
        ([f"{__name__}.Own", settings.BELOW[0]], []),
        (["perfguard_django.middleware.GuardMiddleware"], []),
        ([settings.GUARD, "nowhere.Middleware"], []),
    ],
    ids=["second", "twice", "missing", "subclass", "module", "broken neighbour"],
)
def test_the_place_of_the_middleware_is_checked(middleware: list[str], expected: list[Any]) -> None:
    """First, and once."""
    with project(*middleware):
        assert [(each.id, type(each)) for each in _checked()] == expected


class Own(GuardMiddleware):
    """A project's own."""


def test_a_guard_is_named_by_its_path() -> None:
    """Or given as it is."""
    assert guarded(GUARD=f"{__name__}.shared")[1].guard is shared
    assert guarded(GUARD=shared)[1].guard is shared


def test_settings_reach_the_guard() -> None:
    """The environment decides where nothing is said."""
    assert guarded(ENABLED=False)[1].guard.enabled is False
    assert guarded(DRY_RUN=True)[1].guard.dry_run is True
    assert "/7 keys" in repr(guarded(MAX_KEYS=7)[1])


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/metrics/"])
def test_health_checks_are_exempt_by_default(path: str) -> None:
    """With the slash that Django's routes have, and without."""
    assert path in Exempt(DEFAULTS["EXEMPT"])


def test_a_prefix_exempts_what_is_below() -> None:
    """With a star at its end, and then alone."""
    exempt = Exempt(["/admin/*", "/version/"])

    assert ["/admin/" in exempt, "/admin/x/" in exempt, "/administration/" in exempt] == [True, True, False]
    assert ["/version/" in exempt, "/version/1/" in exempt] == [True, False]


def _table(exempt: list[str] | None = None) -> RouteTable:
    return RouteTable(Exempt(exempt or []), lambda where, error: None)


def test_paths_that_clients_choose_are_not_remembered() -> None:
    """Those of routes with parameters, and those of no route."""
    table = _table()
    for number in range(10):
        table.find(f"/important/{number}/")
        table.find(f"/nowhere/{number}/")
    table.find("/plain/")

    assert list(table._read.known) == ["/plain/"]  # noqa: SLF001


def test_a_urlconf_of_the_request_itself_is_respected() -> None:
    """Set by middleware that stands before."""
    table = _table(["/exempt/"])
    other = (path("plain/", views.Child.as_view()),)

    assert table.find("/plain/", other).priority is Priority.BACKGROUND
    assert table.find("/plain/").priority is Priority.NORMAL
    assert table.find("/stream/", other) is UNMATCHED
    assert table.find("/exempt/", other).exempt


class Urlconf:
    """A URLconf of such patterns."""

    def __init__(self, *patterns: URLPattern) -> None:
        self.urlpatterns = patterns


@pytest.mark.parametrize("paths", [["/plain/"], ["/plain/", "/important/3/"]], ids=["literal", "with parameters"])
def test_another_urlconf_is_read_anew(paths: list[str]) -> None:
    """As tests set one, and as projects do that load theirs again while they serve."""
    table = _table()
    before = [table.find(path).exempt for path in paths]
    with override_settings(ROOT_URLCONF=Urlconf(*(path(each[1:], views.report) for each in paths))):
        during = [table.find(path).exempt for path in paths]

    assert not any(before)
    assert all(during)
    assert not any(table.find(path).exempt for path in paths)


class Secretive:
    """A view that lets nobody ask for its attributes."""

    def __call__(self, request: Any) -> HttpResponse:
        """Answer."""
        return HttpResponse()

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_a_view_that_cannot_be_asked_for_marks_is_a_fault() -> None:
    """Django calls it all the same."""
    faults: list[str] = []
    table = RouteTable(Exempt([]), lambda where, error: faults.append(where))

    with override_settings(ROOT_URLCONF=Urlconf(re_path("^x|^y", Secretive()))):
        assert table.find("/x") is UNMATCHED

    assert set(faults) == {"the URLconf"}


class Translated:
    """A URLconf with prefixes of languages."""

    def __init__(self) -> None:
        from django.conf.urls.i18n import i18n_patterns

        self.urlpatterns = i18n_patterns(path("plain/", views.plain), path(gettext_lazy("old/"), views.plain))


def test_language_prefixes_are_part_of_the_key() -> None:
    """Though the middleware that activates the language comes later."""
    with override_settings(USE_I18N=True, LANGUAGES=[("en", "English"), ("de", "German")], ROOT_URLCONF=Translated()):
        table = _table()

        assert table.find("/de/plain/").key == "/de/plain/"
        assert table.find("/en/plain/").key == "/en/plain/"
        assert table.find("/fr/plain/") is UNMATCHED


def test_a_urlconf_that_cannot_be_read_is_a_fault() -> None:
    """Django meets it as well, and answers as it does."""
    faults: list[str] = []
    table = RouteTable(Exempt([]), lambda where, error: faults.append(where))

    with override_settings(ROOT_URLCONF="nowhere.urls"):
        assert table.find("/plain/") is UNMATCHED

    assert set(faults) == {"the URLconf"}


def _command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("perfguard", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_shows_settings_and_routes() -> None:
    """Each route's key, priority and exemption."""
    with project(settings.GUARD, TIMEOUT=2.0, EXEMPT=["/admin/*"]):
        text = _command()

    lines = [line.split() for line in text.splitlines()]
    assert ["TIMEOUT", "2.0"] in lines
    assert ["/important/<int:pk>/", "HIGH"] in lines
    assert ["/admin/users/<int:pk>/", "HIGH", "exempt"] in lines
    assert ["/child/", "BACKGROUND", "exempt"] in lines
    assert ["/^old/(?P<year>[0-9]{4})/$", "NORMAL"] in lines


def test_the_command_writes_json() -> None:
    """A guard as its repr."""
    with project(settings.GUARD, GUARD=shared):
        report = json.loads(_command("--json"))

    assert report["settings"].keys() == DEFAULTS.keys()
    assert report["settings"]["GUARD"].startswith("<Guard shared")
    assert {"key": "/marked/", "priority": "NORMAL", "exempt": True} in report["routes"]


def test_the_command_says_what_is_wrong() -> None:
    """Rather than show what does not hold."""
    with project(settings.GUARD, TIMEOUT=0), pytest.raises(CommandError, match="TIMEOUT"):
        _command()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a running server with the view, whose guard has admitted a request and refused one."""
    handler, middleware = guarded()
    ask(handler, "/important/3/")
    middleware.guard.enter(middleware.guard.admit(Call(key="/important/<int:pk>/", deadline=0.0)))
    with make_server("127.0.0.1", 0, handler, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_command_reads_a_running_server(url: str) -> None:
    """Through the view, as text and as JSON."""
    text = _command("--url", f"{url}/perfguard/")
    report = json.loads(_command("--url", f"{url}/perfguard/", "--json"))

    assert text.startswith("guard (on): normal, 1 admitted, refused: 1 deadline")
    assert "/important/<int:pk>/" in text
    assert report["limiters"][0]["key"] == "/important/<int:pk>/"


def test_the_command_shows_how_many_each_route_has_refused(url: str) -> None:
    """The fixture's guard has refused one of two."""
    line = _command("--url", f"{url}/perfguard/").splitlines()[-1]

    assert line.split() == ["/important/<int:pk>/", "0", *line.split()[2:3], "0", "1", "normal"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/plain/", "no snapshot at"), ("/nowhere/", "404"), ("/status/204/", "no snapshot at")],
)
def test_the_command_says_that_there_is_no_snapshot(url: str, path: str, reason: str) -> None:
    """Whatever page it is that answers."""
    with pytest.raises(CommandError, match=reason):
        _command("--url", f"{url}{path}")


@pytest.mark.parametrize("url", ["file:///etc/hosts", "localhost:8000"])
def test_the_command_asks_http_alone(url: str) -> None:
    """No file is read."""
    with pytest.raises(CommandError, match="must begin with http"):
        _command("--url", url)


def test_the_view_is_not_found_without_the_middleware() -> None:
    """It has no guard to show."""
    with project(*settings.BELOW):
        assert ask(WSGIHandler(), "/perfguard/").status == 404
