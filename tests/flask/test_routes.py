"""The route table of perfguard_flask, beside Flask's own matching."""

from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, Rule, ValidationError
from werkzeug.test import EnvironBuilder

from perfguard.targets import UNMATCHED
from perfguard_flask.routes import RouteTable


def _app(*rules: str, **options: Any) -> Flask:
    app = Flask(__name__, static_folder=None)
    for rule in rules:
        app.add_url_rule(rule, rule.replace(".", "-"), lambda **_: "ok", **options)
    return app


def _environ(path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    return EnvironBuilder(path=path, method=method, **more).get_environ()


def _key(app: Flask, path: str, method: str = "GET", **more: Any) -> str:
    return RouteTable(app).find(_environ(path, method, **more)).key


def _flasks_key(app: Flask, environ: dict[str, Any]) -> str:
    """The rule that Flask finds."""
    adapter = app.create_url_adapter(app.request_class(environ))
    assert adapter is not None
    try:
        rule, _ = adapter.match(return_rule=True)
    except HTTPException:
        return UNMATCHED.key
    return (rule.host or rule.subdomain or "") + rule.rule


def test_key_is_the_template_of_the_rule() -> None:
    """All paths of a rule share it, converters included."""
    app = _app("/users/<int:user>")

    assert _key(app, "/users/1") == _key(app, "/users/2") == "/users/<int:user>"


@pytest.mark.parametrize("path", ["/users/one", "/nowhere", "/", "", "/users/1/more", "*"])
def test_paths_of_no_rule_share_one_key(path: str) -> None:
    """A client cannot make keys."""
    assert RouteTable(_app("/users/<int:user>")).find({"REQUEST_METHOD": "GET", "PATH_INFO": path}) is UNMATCHED


@pytest.mark.parametrize("method", ["DELETE", "BREW", ""])
@pytest.mark.parametrize("path", ["/orders", "/orders/7"])
def test_method_of_no_rule_is_unmatched(path: str, method: str) -> None:
    """What Flask answers with 405 is no call of the view."""
    app = _app("/orders", "/orders/<order>", methods=["POST"])

    assert RouteTable(app).find({"REQUEST_METHOD": method, "PATH_INFO": path}) is UNMATCHED


def test_redirect_to_a_trailing_slash_is_unmatched() -> None:
    """It costs next to nothing, and is no call of the view."""
    app = _app("/books/", "/pages/<page>/")

    assert [_key(app, path) for path in ("/books", "/pages/1", "//books/")] == [UNMATCHED.key] * 3
    assert [_key(app, path) for path in ("/books/", "/pages/1/")] == ["/books/", "/pages/<page>/"]


def test_rule_outside_of_ascii_is_found() -> None:
    """Servers give the bytes of a path as latin-1."""
    app = _app("/straße", "/städte/<name>")

    assert _key(app, "/straße") == "/straße"
    assert _key(app, "/städte/köln") == "/städte/<name>"


def test_converter_of_the_application_is_not_run() -> None:
    """It may ask a database, which is for admitted requests alone."""

    class Asking(BaseConverter):
        regex = "[a-z]+"

        def to_python(self, value: str) -> Any:
            raise AssertionError("asked")

    app = Flask(__name__)
    app.url_map.converters["user"] = Asking
    app.add_url_rule("/users/<user:user>", "user", lambda user: "ok")

    assert _key(app, "/users/ann") == "/users/<user:user>"
    assert _key(app, "/users/1") == UNMATCHED.key


def test_converter_made_by_its_arguments_is_known() -> None:
    """The usual converter for a regular expression in the rule."""

    class Regex(BaseConverter):
        def __init__(self, url_map: Any, regex: str) -> None:
            super().__init__(url_map)
            self.regex = regex

        def to_python(self, value: str) -> str:
            raise ValidationError

    app = Flask(__name__)
    app.url_map.converters["regex"] = Regex
    app.add_url_rule("/<regex('[ab]+'):word>", "word", lambda word: "ok")

    assert _key(app, "/abba") == "/<regex('[ab]+'):word>"
    assert _key(app, "/queen") == UNMATCHED.key


def test_websocket_rules_are_for_websockets_alone() -> None:
    """As in Werkzeug, by the headers of the request."""
    app = _app("/feed", "/plain")
    app.url_map.add(Rule("/socket", endpoint="/feed", websocket=True))
    handshake: dict[str, Any] = {"headers": {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade"}}

    assert _key(app, "/socket", **handshake) == "/socket"
    assert _key(app, "/plain", **handshake) == UNMATCHED.key
    assert _key(app, "/socket") == UNMATCHED.key
    assert _key(app, "/plain", headers={"Upgrade": "h2c"}) == "/plain"


def test_rule_that_redirects_calls_nothing() -> None:
    """The redirect is the application's to make."""

    def new_place(adapter: Any, **values: Any) -> str:
        raise AssertionError("called")

    app = _app("/new/<int:number>")
    app.url_map.add(Rule("/old/<int:number>", endpoint="/new/<int:number>", redirect_to=new_place))
    app.url_map.add(Rule("/new/", endpoint="/new/<int:number>", defaults={"number": 1}))

    assert _key(app, "/old/7") == "/old/<int:number>"
    assert _key(app, "/new/1") == "/new/<int:number>"


def test_hosts_have_rules_of_their_own() -> None:
    """With host matching the key begins with the host."""
    app = Flask(__name__, host_matching=True, static_folder=None)
    app.add_url_rule("/a", "shop", lambda: "ok", host="shop.test")
    app.add_url_rule("/a", "user", lambda user: "ok", host="<user>.test")

    keys = [_key(app, "/a", base_url=f"http://{host}") for host in ("shop.test", "ann.test", "other.example")]
    assert keys == ["shop.test/a", "<user>.test/a", UNMATCHED.key]


@pytest.mark.parametrize("server", [None, "shop.test", "shop.test:80", "SHOP.test", "shop.test:443"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    [
        "shop.test",
        "api.shop.test",
        "a.api.shop.test",
        "bookshop.test",
        "127.0.0.1",
        "",
        "shop.test:443",
        "a.shop.test:80",
    ],
)
@pytest.mark.filterwarnings("ignore:Current server name")
def test_subdomains_are_those_of_flask(server: str | None, scheme: str, host: str) -> None:
    """Also of another server, and where none is known."""
    app = Flask(__name__, subdomain_matching=True, static_folder=None)
    app.config["SERVER_NAME"] = server
    app.add_url_rule("/a", "index", lambda: "ok")
    app.add_url_rule("/a", "api", lambda: "ok", subdomain="api")
    app.add_url_rule("/a", "any", lambda name: "ok", subdomain="<name>.api")
    environ = _environ("/a") | {"HTTP_HOST": host, "wsgi.url_scheme": scheme}

    assert RouteTable(app).find(environ).key == _flasks_key(app, environ)


_SEGMENTS = st.sampled_from(["a", "b", "7", "<x>", "<int:x>", "<path:x>", "<float:x>", "<any(a, b):x>", "c-<x>", ""])
_WORDS = st.sampled_from(["a", "b", "7", "7.5", "c-a", "", "ä", "-1", "%2f"])
_METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT"])


def _rule(segments: list[str]) -> str:
    named = [segment.replace("x>", f"x{number}>") for number, segment in enumerate(segments)]
    return "/" + "/".join(named)


@given(
    rules=st.lists(
        st.tuples(st.lists(_SEGMENTS, max_size=3).map(_rule), st.sets(_METHODS, min_size=1)), min_size=1, max_size=6
    ),
    slashes=st.tuples(st.booleans(), st.booleans()),
    requests=st.lists(st.tuples(st.lists(_WORDS, max_size=4), _METHODS), min_size=1, max_size=10),
)
def test_every_request_has_the_rule_that_flask_finds(
    rules: list[tuple[str, set[str]]], slashes: tuple[bool, bool], requests: list[tuple[list[str], str]]
) -> None:
    """Whatever the rules, their order and their methods; by the dictionary or not."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes, app.url_map.merge_slashes = slashes
    for number, (rule, methods) in enumerate(rules):
        app.add_url_rule(rule, str(number), lambda **_: "ok", methods=methods)
    table = RouteTable(app)

    for words, method in requests:
        environ = _environ("/") | {
            "REQUEST_METHOD": method,
            "PATH_INFO": ("/" + "/".join(words)).encode().decode("latin-1"),
        }
        assert table.find(environ).key == _flasks_key(app, environ)
