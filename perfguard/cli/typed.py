"""Numbers and choices as people type them on a command line."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import TypeVar

from perfguard.errors import ConfigurationError

Choice = TypeVar("Choice", bound=StrEnum)

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)


def parse_number(text: str, name: str, *, most: float) -> float:
    """The number above zero that a text means.

    Args:
        text: As typed.
        name: The parameter that an error names.
        most: The largest that is taken.

    Raises:
        ConfigurationError: It is no number, or out of range.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= most:
        raise ConfigurationError(name, text, f"must be a number above 0 and at most {most:,.0f}")
    return number


def parse_whole(text: str, name: str, *, least: int = 0, most: int) -> int:
    """The whole number that a text means.

    Args:
        text: As typed.
        name: The parameter that an error names.
        least: The smallest that is taken.
        most: The largest that is taken.

    Raises:
        ConfigurationError: It is no whole number, or out of range.
    """
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not least <= number <= most:
        raise ConfigurationError(name, text, f"must be a whole number from {least:,} to {most:,}")
    return number


def parse_choice(text: str, name: str, kind: type[Choice]) -> Choice:
    """The member of an enumeration that a text means.

    Raises:
        ConfigurationError: There is no such member.
    """
    try:
        return kind(text)
    except ValueError:
        raise ConfigurationError(name, text, f"must be {' or '.join(kind)}") from None
