"""What constructors demand of their arguments; each check names the argument, the value and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import TypeGuard, TypeVar

from perfguard.errors import ConfigurationError

_T = TypeVar("_T")


def check_whole(name: str, value: object, *, least: int) -> None:
    """Raise unless `value` is a whole number of at least `least`.

    Raises:
        ConfigurationError: It is not; a bool is no number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(name, value, f"must be a whole number of at least {least}")
    if value < least:
        raise ConfigurationError(name, value, f"must be at least {least}")


def check_positive(name: str, value: object, unit: str = "") -> None:
    """Raise unless `value` is a positive, finite number, of that unit in the message.

    Raises:
        ConfigurationError: It is not.
    """
    if not is_number(value) or not value > 0.0:
        raise ConfigurationError(name, value, "must be a positive number" + (f" of {unit}" if unit else ""))


def check_at_least(name: str, value: object, least: float) -> None:
    """Raise unless `value` is a finite number of at least `least`.

    Raises:
        ConfigurationError: It is not.
    """
    if not is_number(value):
        raise ConfigurationError(name, value, f"must be a finite number of at least {least:g}")
    if value < least:
        raise ConfigurationError(name, value, f"must be at least {least:g}")


def check_flag(name: str, value: object) -> None:
    """Raise unless `value` is True or False: a text such as "no" is true to Python.

    Raises:
        ConfigurationError: It is neither.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(name, value, "must be True or False")


def check_text(name: str, value: object) -> None:
    """Raise unless `value` is a string.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(value, str):
        raise ConfigurationError(name, value, "must be a string")


def check_callable(name: str, value: object, remedy: str = "must be callable") -> None:
    """Raise unless `value` can be called.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(value):
        raise ConfigurationError(name, value, remedy)


def listed(name: str, values: Iterable[_T], what: str) -> list[_T]:
    """Return what is in a sequence; a string is one value, and no sequence.

    Raises:
        ConfigurationError: It is no sequence.
    """
    if isinstance(values, str | bytes):
        raise ConfigurationError(name, values, f"must be a sequence of {what}, not one string")
    if not isinstance(values, Iterable):
        raise ConfigurationError(name, values, f"must be a sequence of {what}")
    return list(values)


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value is a finite number that a float can hold; a bool is none."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:
        return False
