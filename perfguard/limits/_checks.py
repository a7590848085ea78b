"""What every limit demands of its arguments."""

from __future__ import annotations

from perfguard.errors import ConfigurationError


def check_range(initial: int, lowest: int, highest: int) -> None:
    """Raise unless `1 <= lowest <= initial <= highest`.

    Raises:
        ConfigurationError: They are out of order.
    """
    if lowest < 1:
        raise ConfigurationError("lowest", lowest, "must be at least 1")
    if initial < lowest:
        raise ConfigurationError("initial", initial, f"must be at least lowest ({lowest})")
    if highest < initial:
        raise ConfigurationError("highest", highest, f"must be at least initial ({initial})")


def check_share(name: str, value: float) -> None:
    """Raise unless `0 < value <= 1`.

    Raises:
        ConfigurationError: It is outside.
    """
    if not 0.0 < value <= 1.0:
        raise ConfigurationError(name, value, "must be above 0 and at most 1")


def check_positive(name: str, value: float) -> None:
    """Raise unless `value` is a positive, finite number.

    Raises:
        ConfigurationError: It is not.
    """
    if not 0.0 < value < float("inf"):
        raise ConfigurationError(name, value, "must be a positive number")
