"""Durations as people write them: `1s`, `250ms`, `2m`, or plain seconds."""

from __future__ import annotations

import re

from perfguard.errors import ConfigurationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|m|h)?", re.ASCII)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 30


def parse_duration(text: str, name: str = "duration") -> float:
    """The seconds that a text means.

    Args:
        text: A number with or without a unit: us, ms, s, m or h.
        name: The parameter that an error names.

    Raises:
        ConfigurationError: It is not a duration, or it is zero.
    """
    match = _DURATION.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if seconds <= 0:
        raise ConfigurationError(name, text, "must be a duration above zero, such as 30, 1s, 250ms or 2m")
    return seconds


def name_duration(seconds: float) -> str:
    """A duration that somebody chose, as one would say it: `1 s`, `250 ms`, `1 h 30 min`."""
    if seconds < 60:
        return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest:g} s" if rest else "")
    return " ".join(part for part in parts if part)


def format_duration(seconds: float) -> str:
    """A measured duration to three digits, in the unit that suits it."""
    if seconds <= 0:
        return "-"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms" if seconds < 0.0999 else f"{seconds * 1e3:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else name_duration(round(seconds))
