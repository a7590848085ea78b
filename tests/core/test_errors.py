"""The exception tree, and the argument that each constructor complains about."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from perfguard import (
    AdmissionQueue,
    ConfigurationError,
    DeadlineExceeded,
    Guard,
    KeyedLimiter,
    Limiter,
    LimitExceeded,
    PerfguardError,
    QueueTimeout,
    Reason,
    Rejected,
)

MISTAKES: list[tuple[Callable[[], object], str, object]] = [
    (lambda: AdmissionQueue(target=0.0), "target", 0.0),
    (lambda: AdmissionQueue(target=-1.0), "target", -1.0),
    (lambda: AdmissionQueue(target=float("inf")), "target", float("inf")),
    (lambda: AdmissionQueue(interval=0.0), "interval", 0.0),
    (lambda: AdmissionQueue(max_wait=float("inf")), "max_wait", float("inf")),
    (lambda: AdmissionQueue(target=1.0, max_wait=0.5), "max_wait", 0.5),
    (lambda: AdmissionQueue(min_length=0), "min_length", 0),
    (lambda: AdmissionQueue(min_length=9, max_length=8), "max_length", 8),
    (lambda: KeyedLimiter(max_keys=0), "max_keys", 0),
    (lambda: Guard(listeners=[_not_callable()]), "listeners", 7),
    (lambda: Guard(_not_callable()), "policies", 7),
]


def _not_callable() -> Any:
    return 7


@pytest.mark.parametrize(("build", "name", "value"), MISTAKES, ids=range(len(MISTAKES)))
def test_constructor_names_the_wrong_argument(build: Callable[[], object], name: str, value: object) -> None:
    """The error carries the parameter, the value, and what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        build()

    assert (caught.value.name, caught.value.value) == (name, value)
    assert caught.value.remedy.startswith(("must", "may"))
    assert str(caught.value) == f"{name} {caught.value.remedy}, got {value!r}"


def test_queue_target_must_be_a_number() -> None:
    """Not-a-number is out of every range."""
    with pytest.raises(ConfigurationError, match="target must be a positive number of seconds, got nan"):
        AdmissionQueue(target=float("nan"))


def test_pipeline_with_two_limiters_is_refused() -> None:
    """A call can wait in one queue, not in two."""
    with pytest.raises(ConfigurationError) as caught:
        Guard(Limiter(), KeyedLimiter())

    assert caught.value.name == "policies"


def test_configuration_error_is_a_value_error() -> None:
    """Code that knows nothing of perfguard catches it as what it is."""
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(ConfigurationError, PerfguardError)


@pytest.mark.parametrize("kind", [Rejected, LimitExceeded, QueueTimeout])
def test_rejection_says_why_and_when_to_come_back(kind: type[Rejected]) -> None:
    """A refusal carries its reason and the seconds until another attempt has a chance."""
    error = kind(Reason.QUEUE_FULL, 4.4)

    assert isinstance(error, Rejected)
    assert (error.reason, error.retry_after) == (Reason.QUEUE_FULL, 4.4)
    assert str(error) == "rejected: queue_full (retry after 4 s)"


def test_rejection_never_says_to_come_back_at_once() -> None:
    """A queue that drains within a second is no reason to hammer at it."""
    assert str(QueueTimeout(Reason.QUEUE_TIME, 0.2)) == "rejected: queue_time (retry after 1 s)"


def test_rejection_survives_pickling() -> None:
    """A refusal may cross the border of a process pool."""
    error = pickle.loads(pickle.dumps(QueueTimeout(Reason.DEADLINE, 2.0)))  # noqa: S301 - our own bytes

    assert isinstance(error, QueueTimeout)
    assert (error.reason, error.retry_after) == (Reason.DEADLINE, 2.0)


def test_deadline_exceeded_is_a_timeout() -> None:
    """Code that handles timeouts handles it, too."""
    assert issubclass(DeadlineExceeded, TimeoutError)
