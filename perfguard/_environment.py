"""What an operator sets in the environment, without a deploy."""

from __future__ import annotations

import os

from perfguard.errors import ConfigurationError

_SWITCHES = {"PERFGUARD_ENABLED": True, "PERFGUARD_DRY_RUN": False}


def check_environment() -> None:
    """Raise unless every variable says something.

    Raises:
        ConfigurationError: One says neither 1 nor 0, nor another word for these.
    """
    for variable, default in _SWITCHES.items():
        switch(variable, default=default)


def chosen(name: str, value: object, variable: str, *, default: bool) -> bool:
    """Return what an argument of that name says, and where it is `None` the environment.

    Raises:
        ConfigurationError: The argument is neither a bool nor `None`, or the variable says neither.
    """
    if value is None:
        return switch(variable, default=default)
    if not isinstance(value, bool):
        raise ConfigurationError(name, value, f"must be True, False, or None to read {variable}")
    return value


def switch(variable: str, *, default: bool) -> bool:
    """Return what a variable of the environment says: 1 or 0, in the usual spellings.

    Raises:
        ConfigurationError: It says something else.
    """
    text = os.environ.get(variable, "").strip().lower()
    if text in ("", "default"):
        return default
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise ConfigurationError(variable, text, "must be 1 or 0 in the environment (or true, yes, on; false, no, off)")
