"""Priorities and exemptions of views, classes of views, their methods and blueprints."""

from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

from perfguard import ConfigurationError, Priority
from perfguard.marks import Marks, marks_of
from perfguard.targets import Target
from perfguard_flask import exempt, priority
from perfguard_flask.routes import RouteTable


def _target(app: Flask, path: str, method: str = "GET") -> Target:
    return RouteTable(app).find({"REQUEST_METHOD": method, "PATH_INFO": path})


def _fresh() -> Any:
    def view() -> str:
        return "fresh"

    return view


def test_decorators_return_the_view_itself() -> None:
    """They add no call."""
    view = _fresh()

    assert exempt(priority(Priority.LOW)(view)) is view
    assert marks_of(view) == Marks(priority=Priority.LOW, exempt=True)


def test_decorator_may_stand_above_or_below_the_route() -> None:
    """Flask's decorators return the function too."""
    app = Flask(__name__)

    @app.get("/below")
    @priority(Priority.HIGH)
    def below() -> str:
        return "below"

    @priority(Priority.LOW)
    @app.get("/above")
    def above() -> str:
        return "above"

    assert _target(app, "/below").priority is Priority.HIGH
    assert _target(app, "/above").priority is Priority.LOW


def test_class_of_views_is_marked_for_all_its_methods() -> None:
    """Of `MethodView` and of a plain `View`."""
    app = Flask(__name__)

    @exempt
    class Both(MethodView):
        def get(self) -> str:
            return "get"

        def post(self) -> str:
            return "post"

    @priority(Priority.BACKGROUND)
    class Plain(View):
        def dispatch_request(self) -> str:
            return "plain"

    app.add_url_rule("/both", view_func=Both.as_view("both"))
    app.add_url_rule("/plain", view_func=Plain.as_view("plain"))

    assert [_target(app, "/both", method).exempt for method in ("GET", "POST", "HEAD", "OPTIONS")] == [True] * 4
    assert _target(app, "/plain").priority is Priority.BACKGROUND


def test_method_of_a_class_of_views_outranks_its_class() -> None:
    """HEAD goes the way of GET, as in Flask; the key stays that of the rule."""
    app = Flask(__name__)

    @priority(Priority.LOW)
    class Items(MethodView):
        @priority(Priority.HIGH)
        def get(self, item: int) -> str:
            return "get"

        def post(self, item: int) -> str:
            return "post"

    app.add_url_rule("/items/<int:item>", view_func=Items.as_view("items"))
    targets = {method: _target(app, "/items/1", method) for method in ("GET", "HEAD", "POST", "OPTIONS", "PUT")}

    assert {method: each.priority for method, each in targets.items()} == {
        "GET": Priority.HIGH,
        "HEAD": Priority.HIGH,
        "POST": Priority.LOW,
        "OPTIONS": Priority.LOW,
        "PUT": Priority.NORMAL,
    }
    assert {each.key for each in targets.values()} == {"/items/<int:item>", "_UNMATCHED"}


def test_view_outranks_its_blueprint_and_an_inner_blueprint_the_outer() -> None:
    """What nothing nearer says comes from what encloses it."""
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    outer.add_url_rule("/a", "a", _fresh())
    inner.add_url_rule("/b", "b", _fresh())
    inner.add_url_rule("/c", "c", priority(Priority.CRITICAL)(_fresh()))
    exempt(priority(Priority.LOW)(outer))
    priority(Priority.BACKGROUND)(inner)
    outer.register_blueprint(inner, url_prefix="/inner")
    app = Flask(__name__)
    app.register_blueprint(outer, url_prefix="/outer")

    assert _target(app, "/outer/a") == Target(key="/outer/a", priority=Priority.LOW, exempt=True)
    assert _target(app, "/outer/inner/b").priority is Priority.BACKGROUND
    assert _target(app, "/outer/inner/c") == Target(key="/outer/inner/c", priority=Priority.CRITICAL, exempt=True)


def test_blueprint_registered_under_another_name_keeps_its_marks() -> None:
    """Flask allows the same blueprint twice."""
    blueprint = exempt(Blueprint("shop", __name__))
    blueprint.add_url_rule("/cart", "cart", _fresh())
    app = Flask(__name__)
    app.register_blueprint(blueprint, url_prefix="/one")
    app.register_blueprint(blueprint, url_prefix="/two", name="second")

    assert _target(app, "/one/cart").exempt
    assert _target(app, "/two/cart").exempt


def test_application_may_be_marked_as_a_whole() -> None:
    """Whatever its views do not say."""
    app = priority(Priority.LOW)(Flask(__name__))
    app.add_url_rule("/low", "low", _fresh())
    app.add_url_rule("/high", "high", priority(Priority.HIGH)(_fresh()))

    assert [_target(app, path).priority for path in ("/low", "/high")] == [Priority.LOW, Priority.HIGH]


def test_static_files_may_be_exempt() -> None:
    """Flask's own view takes a mark like any other."""
    app = Flask(__name__)
    exempt(app.view_functions["static"])

    assert _target(app, "/static/style.css") == Target(key="/static/<path:filename>", exempt=True)


@pytest.mark.parametrize("level", ["high", 1, None, _fresh()])
def test_priority_refuses_what_is_none(level: Any) -> None:
    """Also where the parentheses were forgotten, as in a bare `@priority`."""
    with pytest.raises(ConfigurationError, match=r"must be a Priority, as in @priority\(Priority.HIGH\)"):
        priority(level)


def test_exempt_refuses_what_is_no_view() -> None:
    """The name of an endpoint is none."""
    not_a_view: Any = "shop.cart"

    with pytest.raises(ConfigurationError, match="must be a view function, a class of views or a blueprint"):
        exempt(not_a_view)


def test_bound_method_cannot_be_marked() -> None:
    """It would be another object at the next access."""

    class Resource:
        def get(self) -> str:
            return "get"

    with pytest.raises(ConfigurationError, match="mark the function"):
        exempt(Resource().get)


def test_type_that_is_built_in_cannot_be_marked() -> None:
    """Nothing can be set on it; the error names what to do, as for any other."""
    with pytest.raises(ConfigurationError, match="view must be able to carry attributes"):
        exempt(dict)
