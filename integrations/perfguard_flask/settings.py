"""What an application is guarded by: arguments, the environment and its configuration."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from perfguard import wsgi
from perfguard.errors import ConfigurationError

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

PREFIX = "PERFGUARD_"

PASSED = ("exempt", "trusted_proxies", "timeout", "max_streams", "details", "telemetry")
"""The settings that are passed on to `perfguard.wsgi.GuardMiddleware`."""

_SWITCHES = ("enabled", "dry_run")
_OWN = {"enabled": None, "dry_run": None, "max_keys": 100, "snapshot_path": None}


class Options(TypedDict, total=False):
    """The settings, as arguments of `PerfGuard`."""

    enabled: bool | None
    dry_run: bool | None
    timeout: float | None
    max_streams: int
    details: bool
    exempt: Iterable[str]
    trusted_proxies: Iterable[str]
    max_keys: int
    snapshot_path: str | None
    telemetry: Telemetry | bool


class Setting(NamedTuple):
    """One setting.

    Attributes:
        value: What holds.
        typed: The name under which somebody said so; `None` for a default.
    """

    value: Any
    typed: str | None


class Settings(dict[str, Setting]):
    """All settings, by the name of the argument."""

    def values_of(self, names: Iterable[str]) -> dict[str, Any]:
        """Return those settings as arguments."""
        return {name: self[name].value for name in names}

    @contextmanager
    def named_as_typed(self) -> Iterator[None]:
        """Let an error about an argument speak of the name that its user typed."""
        try:
            yield
        except ConfigurationError as error:
            setting = self.get(error.name)
            typed = error.name if setting is None else setting.typed or error.name
            raise ConfigurationError(typed, error.value, error.remedy) from None


def read(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> Settings:
    """Return the settings: an argument wins over the environment, and that over `app.config`.

    Raises:
        ConfigurationError: A name is that of no setting.
    """
    settings = Settings({name: Setting(value, None) for name, value in _defaults().items()})
    known = {PREFIX + name.upper(): name for name in settings}
    for typed in config:
        if isinstance(typed, str) and typed.startswith(PREFIX):
            settings[_known(typed, config, known)] = Setting(config[typed], typed)
    for name in _SWITCHES:
        if _in_environment(PREFIX + name.upper()):
            settings[name] = Setting(None, f"{PREFIX}{name.upper()} in the environment")
    for name in arguments:
        settings[_known(name, arguments, dict(zip(settings, settings, strict=True)))] = Setting(arguments[name], name)
    return settings


def _defaults() -> dict[str, Any]:
    passed = inspect.signature(wsgi.GuardMiddleware).parameters
    return _OWN | {name: passed[name].default for name in PASSED}


def _known(typed: str, said: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if typed not in names:
        raise ConfigurationError(typed, said[typed], f"is no setting; there are {', '.join(sorted(names))}")
    return names[typed]


def _in_environment(variable: str) -> bool:
    # What it says is read by the guard, which knows the spellings.
    return os.environ.get(variable, "").strip().lower() not in ("", "default")
