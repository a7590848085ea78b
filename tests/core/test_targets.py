"""What integrations make of routes: targets by marks, and one expression of many."""

from __future__ import annotations

from perfguard import Priority
from perfguard.marks import Marks
from perfguard.targets import TARGET, UNMATCHED, Matcher, Target, key_of, priority_of, target_of, unnamed


def test_a_route_of_which_nothing_was_said_has_normal_requests() -> None:
    assert target_of("/", Marks()) == Target(key="/", priority=Priority.NORMAL, exempt=False)


def test_a_route_has_the_priority_and_the_exemption_that_were_said_of_it() -> None:
    marks = Marks(priority=Priority.LOW, exempt=True)
    assert target_of("/", marks) == Target(key="/", priority=Priority.LOW, exempt=True)


def test_a_request_has_what_its_target_says() -> None:
    request = {TARGET: Target(key="/orders", priority=Priority.HIGH)}
    assert (key_of(request), priority_of(request)) == ("/orders", Priority.HIGH)


def test_a_request_without_a_target_is_as_one_that_no_route_takes() -> None:
    assert (key_of({}), priority_of({})) == (UNMATCHED.key, UNMATCHED.priority)


def test_the_first_route_that_takes_a_path_wins() -> None:
    matcher = Matcher([("/a/b$", "literal"), ("/a/[^/]+$", "parameter")])
    assert [matcher.find(path, "none") for path in ("/a/b", "/a/c", "/b")] == ["literal", "parameter", "none"]


def test_no_routes_take_no_path() -> None:
    matcher: Matcher[str] = Matcher([])
    assert matcher.find("/", "none") == "none"


def test_two_expressions_of_the_same_names_can_be_joined() -> None:
    matcher = Matcher([(unnamed(f"/{kind}/(?P<id>[0-9]+)$"), kind) for kind in ("a", "b")])
    assert matcher.find("/b/7", "none") == "b"
