"""Routes as one regular expression: what it finds is what Django resolves."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import Resolver404, URLPattern, get_resolver, include, path, re_path, register_converter, resolve
from django.urls.converters import StringConverter
from django.urls.resolvers import RoutePattern
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from perfguard_django.options import Exempt
from perfguard_django.patterns import routes
from perfguard_django.routes import RouteTable, _matcher_of


class Even(StringConverter):
    """Takes numbers by its expression, and odd ones not by its conversion."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> str:
        """Return an even number."""
        if int(value) % 2:
            raise ValueError
        return value


register_converter(Even, "even")


def _view(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse()


inner = [
    path("", _view),
    path("<slug:name>/", _view),
    path("<int:number>/<str:word>/", _view),
    re_path(r"^x(?P<year>[0-9]+)/$", _view),
    re_path(r"^(a+)/", _view),
]


class Urls:
    """Patterns of all kinds that one expression can say."""

    urlpatterns = (
        path("", _view),
        path("a/", _view),
        path("a/<int:number>/", _view),
        path("<even:number>/", _view),
        path("<int:number>/", _view),
        path("<uuid:name>/", _view),
        path("a/", include(inner)),
        path("<path:all>/a/", include(inner)),
        re_path(r"^1(?P<rest>[a1]*)/", include(inner)),
        re_path(r"^x/(?P<flag>y)?$", _view),
        path("<str:word>/", include([path("x/", include(inner)), path("x/1/", _view)])),
        path("<path:all>/x", _view),
    )


def _django(text: str) -> str:
    try:
        return f"/{resolve(text).route}"
    except Resolver404:
        return "_UNMATCHED"


def _faultless(where: str, error: BaseException) -> None:
    raise error


URLS = Urls()
TABLE = RouteTable(Exempt([]), _faultless)


@given(st.lists(st.sampled_from(["a", "aa", "1", "2", "11", "x", "x1", "y", "-", "", "a/", "é", "\n"]), max_size=7))
def test_the_key_is_the_route_that_django_resolves(parts: list[str]) -> None:
    """Whatever the path, first pattern first, includes and all."""
    with override_settings(ROOT_URLCONF=URLS):
        assert _matcher_of(get_resolver()) is not None
        for text in ("/" + "/".join(parts), "/" + "/".join(parts) + "/", "/".join(parts)):
            assert TABLE.find(text).key == _django(text)


@pytest.mark.parametrize(
    "pattern",
    [
        re_path(r"year/(?P<year>[0-9]{4})/$", _view),
        re_path(r"^a|b/$", _view),
        re_path(r"^(a)\1/$", _view),
        re_path(r"^(?P<one>a)(?P=one)/$", _view),
        path(gettext_lazy("late/"), _view),
    ],
    ids=["unanchored", "alternatives", "by number", "by name", "translated"],
)
def test_what_one_expression_cannot_say_is_left_to_django(pattern: Any) -> None:
    """And then all of it, since the first pattern wins."""

    class Own:
        urlpatterns = (path("a/<int:number>/", _view), pattern)

    with override_settings(ROOT_URLCONF=Own()):
        table = RouteTable(Exempt([]), _faultless)

        assert _matcher_of(get_resolver()) is None
        for text in ("/a/1/", "/in/year/1999/", "/b/", "/aa/", "/late/", "/nowhere/"):
            assert table.find(text).key == _django(text)


def test_expressions_lose_their_anchors_and_names() -> None:
    """Names would clash where they are joined."""
    patterns = (re_path(r"^(?i:a)/$", _view), re_path(r"^(?P<n>a)/$", _view))

    assert [each.expression for each in routes(patterns)] == [r"(?>(?i:a)/\Z)", r"(?>(?:a)/\Z)"]


class _Odd(RoutePattern):
    """A project's own kind of pattern, which raises once it is read."""

    @property
    def converters(self) -> Any:
        raise LookupError("odd")

    @converters.setter
    def converters(self, value: Any) -> None:
        """Take none."""


def test_a_pattern_that_cannot_be_read_is_a_fault_once_and_left_to_django() -> None:
    """Every other route keeps its key."""
    faults: list[str] = []

    class Own:
        urlpatterns = (path("<int:number>/", _view), URLPattern(_Odd("odd/", is_endpoint=True), _view))

    with override_settings(ROOT_URLCONF=Own()):
        table = RouteTable(Exempt([]), lambda where, error: faults.append(where))

        assert [table.find("/3/").key for _ in range(2)] == ["/<int:number>/"] * 2

    assert faults == ["the URLconf"]


def test_another_urlconf_is_read_anew() -> None:
    """As tests of projects set it."""
    table = RouteTable(Exempt([]), _faultless)

    class Own:
        urlpatterns = (path("<int:other>/", _view),)

    with override_settings(ROOT_URLCONF=URLS):
        assert table.find("/3/").key == "/<int:number>/"
    with override_settings(ROOT_URLCONF=Own()):
        assert table.find("/3/").key == "/<int:other>/"
