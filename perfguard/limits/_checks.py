"""What every limit demands of its arguments."""

from __future__ import annotations

from perfguard._checks import check_at_least, check_positive, check_whole, is_number
from perfguard.errors import ConfigurationError

__all__ = ["check_at_least", "check_positive", "check_range", "check_share", "check_whole"]


def check_range(initial: int, lowest: int, highest: int) -> None:
    """Raise unless `1 <= lowest <= initial <= highest`, all whole numbers.

    Raises:
        ConfigurationError: They are not, or are out of order.
    """
    check_whole("lowest", lowest, least=1)
    check_whole("highest", highest, least=1)
    check_whole("initial", initial, least=1)
    if highest < lowest:
        raise ConfigurationError("highest", highest, f"must be at least lowest ({lowest})")
    if initial < lowest:
        raise ConfigurationError("initial", initial, f"must be at least lowest ({lowest}); give the two together")
    if highest < initial:
        raise ConfigurationError("highest", highest, f"must be at least initial ({initial}); give the two together")


def check_share(name: str, value: float) -> None:
    """Raise unless `0 < value <= 1`.

    Raises:
        ConfigurationError: It is outside, or no number.
    """
    if not is_number(value) or not 0.0 < value <= 1.0:
        raise ConfigurationError(name, value, "must be above 0 and at most 1")
