"""Every public constructor, given what is wrong: the error names the argument, the value and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import perfguard_fastapi
import perfguard_starlette
from perfguard import AdmissionQueue, ConfigurationError, Guard, KeyedLimiter, Limiter
from perfguard.asgi import GuardMiddleware
from perfguard.limits import AIMDLimit, FixedLimit, Gradient2Limit, LittlesLawLimit, VegasLimit
from perfguard.testing import ManualClock
from tests.asgi.messages import answering

NAN, INF = float("nan"), float("inf")

NUMBERS: list[Any] = ["4", None, True, [4], NAN, INF, -INF]
HUGE: Any = 10**400  # A whole number that no float can hold.
COUNTS: list[Any] = [*NUMBERS, 2.5, -1]
SECONDS: list[Any] = [*NUMBERS, 0, -1.0, HUGE, -HUGE]
SWITCHES: list[Any] = ["yes", "no", 0, 1, 2.0, []]
TEXTS: list[Any] = [None, 3, b"name", ["name"]]


def guarded(**arguments: Any) -> Any:
    return GuardMiddleware(answering(), **arguments)


def routed(**arguments: Any) -> Any:
    return perfguard_starlette.GuardMiddleware(answering(), **arguments)


def keyless() -> Limiter:
    return Limiter()


def without(values: list[Any], *allowed: Any) -> list[Any]:
    return [value for value in values if not any(value is each or value == each for each in allowed)]


WRONG: dict[Any, dict[str, list[Any]]] = {
    AdmissionQueue: {
        "target": ["20ms", *SECONDS],
        "interval": SECONDS,
        "max_wait": SECONDS,
        "min_length": [*COUNTS, 0],
        "max_length": [*COUNTS, 0],
    },
    Guard: {
        "name": TEXTS,
        "listeners": [print, 5, None, "print", [print, 7]],
        "clock": [5, None, "monotonic"],
        "dry_run": SWITCHES,
        "enabled": SWITCHES,
    },
    Limiter: {
        "limit": [5, "x", FixedLimit, [FixedLimit(3)]],
        "queue": [5, "x", AdmissionQueue, Limiter()],
        "key": TEXTS,
    },
    KeyedLimiter: {
        "make": [5, "x", Limiter(), keyless, lambda key: FixedLimit(3), lambda key: None],
        "max_keys": [*COUNTS, 0],
    },
    FixedLimit: {"value": [*COUNTS, 0]},
    LittlesLawLimit: {"initial": COUNTS, "lowest": [*COUNTS, 0], "highest": [*COUNTS, 0], "window": SECONDS},
    AIMDLimit: {
        "initial": COUNTS,
        "lowest": [*COUNTS, 0],
        "highest": [*COUNTS, 0],
        "backoff": [*SECONDS, 1.5],
        "timeout": SECONDS,
    },
    VegasLimit: {
        "initial": COUNTS,
        "highest": [*COUNTS, 0],
        "smoothing": [*SECONDS, 1.5],
        "window": without(SECONDS, 0),
    },
    Gradient2Limit: {
        "initial": COUNTS,
        "lowest": [*COUNTS, 0],
        "highest": [*COUNTS, 0],
        "smoothing": [*SECONDS, 1.5],
        "tolerance": [*SECONDS, 0.9],
        "queue_size": COUNTS,
        "long_window": SECONDS,
        "window": without(SECONDS, 0),
    },
    guarded: {
        "guard": [5, "web", Guard, Limiter()],
        "exempt": ["/healthz", b"/healthz", 5, None, ["x"], ["/a", ""], [5]],
        "trusted_proxies": ["10.0.0.1", 5, None, ["nowhere"], [10], [None], [b"\x0a\x00\x00\x01"]],
        "key": [5, "x"],
        "priority": [5, "high", perfguard_starlette.Priority.HIGH],
        "timeout": ["2s", *without(SECONDS, None)],
        "max_streams": COUNTS,
        "details": [None, *SWITCHES],
    },
    routed: {
        "guard": [5, "web"],
        "max_keys": [0, *without(COUNTS, None)],
        "timeout": ["2s", NAN],
        "exempt": ["/healthz", ["x"]],
        "max_streams": [2.5],
        "details": ["no"],
    },
    perfguard_starlette.priority: {"level": [1, "high", None]},
    perfguard_fastapi.priority: {"level": [1, "high", None]},
    ManualClock: {"start": NUMBERS},
}


def cases() -> Iterator[Any]:
    for build, arguments in WRONG.items():
        for name, values in arguments.items():
            for number, value in enumerate(values):
                yield pytest.param(build, name, value, id=f"{build.__module__}.{build.__name__}-{name}-{number}")


@pytest.mark.parametrize(("build", "name", "value"), list(cases()))
def test_a_wrong_argument_is_named_with_its_remedy(build: Any, name: str, value: Any) -> None:
    """Whatever its type: never a bare TypeError, and nothing is taken in silence."""
    with pytest.raises(ConfigurationError) as caught:
        build(**{name: value})

    assert caught.value.name == name
    assert caught.value.remedy.startswith("must")
    given = [value, *(value if isinstance(value, list) else ())]
    assert any(caught.value.value is each for each in given)


@pytest.mark.parametrize("policy", [5, "x", FixedLimit(3), Limiter, [Limiter()], None])
def test_what_is_no_policy_is_named(policy: Any) -> None:
    """A limit is none, nor is a class or a list."""
    with pytest.raises(ConfigurationError, match=r"policies must each have admit\(\) and settle\(\), as Limiter"):
        Guard(policy)


@pytest.mark.parametrize("limit", [LittlesLawLimit, AIMDLimit, Gradient2Limit])
def test_bounds_in_the_wrong_order_are_blamed_on_themselves(limit: Any) -> None:
    """Not on `initial`, which was not given."""
    with pytest.raises(ConfigurationError, match=r"highest must be at least lowest \(50\), got 10"):
        limit(lowest=50, highest=10)


@pytest.mark.parametrize("limit", [LittlesLawLimit, AIMDLimit, Gradient2Limit])
def test_a_bound_beyond_the_start_asks_for_both(limit: Any) -> None:
    """The start has a default that the bound leaves out."""
    with pytest.raises(ConfigurationError, match=r"initial must be at least lowest \(50\); give the two together"):
        limit(lowest=50)


def test_a_maker_that_fails_by_itself_keeps_its_cause() -> None:
    """The error in there is what has to be mended."""

    def make(key: str) -> Limiter:
        return Limiter(FixedLimit(len(key) + "x"))  # type: ignore[operator] # The mistake.

    with pytest.raises(ConfigurationError, match="make must be a function from a key") as caught:
        KeyedLimiter(make)

    assert isinstance(caught.value.__cause__, TypeError)


def test_any_limit_with_a_value_that_observes_is_taken() -> None:
    """A limit of the user's own needs no base class."""

    class Own:
        value = 3

        def observe(self, sample: Any) -> None:
            """Learn nothing."""

    assert Limiter(Own()).limit.value == 3
