"""The setting `PERFGUARD`: what it may say, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.utils.module_loading import import_string

from perfguard._arrival import ProxyClock
from perfguard._checks import check_flag, check_positive, check_whole
from perfguard._environment import chosen
from perfguard._guarding import telemetry_of
from perfguard._options import EXEMPT, paths_of
from perfguard.errors import ConfigurationError
from perfguard.guard import Guard
from perfguard.limits.keyed import KeyedLimiter

if TYPE_CHECKING:
    from perfguard.telemetry.telemetry import Telemetry

# Routes of Django end in a slash by custom.
_WATCHED = (*EXEMPT, *(f"{path}/" for path in EXEMPT))

DEFAULTS: Mapping[str, Any] = {
    "GUARD": None,
    "ENABLED": None,
    "DRY_RUN": None,
    "MAX_KEYS": None,
    "TIMEOUT": None,
    "MAX_STREAMS": 1000,
    "DETAILS": False,
    "EXEMPT": _WATCHED,
    "TRUSTED_PROXIES": (),
    "TELEMETRY": True,
}
"""Every name of the setting, and what holds where it is not there."""

_OF_THE_GUARD = ("ENABLED", "DRY_RUN", "MAX_KEYS")
_MOST_KEYS = 100


class UnknownSetting(ConfigurationError):
    """A name in `PERFGUARD` that means nothing."""


class Exempt:
    """Paths that pass untouched: exact ones, and with a `*` at the end all that begin so.

    Args:
        paths: Each begins with "/".

    Raises:
        ConfigurationError: One does not, or they are no sequence.
    """

    __slots__ = ("paths", "prefixes")

    paths: frozenset[str]
    prefixes: tuple[str, ...]

    def __init__(self, paths: Any) -> None:
        every = paths_of(paths)
        self.prefixes = tuple(sorted(path[:-1] for path in every if path.endswith("*")))
        self.paths = frozenset(path for path in every if not path.endswith("*"))

    def __contains__(self, path: str) -> bool:
        return path in self.paths or path.startswith(self.prefixes)


class Options(NamedTuple):
    """What the middleware is built from.

    Attributes:
        guard: What decides.
        timeout: Seconds from arrival after which nobody wants the answer, or `None`.
        max_streams: How many streamed responses may be open.
        details: Whether a refusal names its reason.
        exempt: The paths that pass untouched.
        trusted_proxies: Whose stamps are believed.
        telemetry: What records the requests.
    """

    guard: Guard
    timeout: float | None
    max_streams: int
    details: bool
    exempt: Exempt
    trusted_proxies: tuple[str, ...]
    telemetry: Telemetry | bool


def said() -> Any:
    """Return the setting as it stands in the project; an empty one where there is none."""
    return getattr(settings, "PERFGUARD", {})


def problems(setting: Any) -> Iterator[ConfigurationError]:
    """Yield what is wrong with a value of the setting, each as the error that using it raises."""
    if not isinstance(setting, Mapping):
        yield ConfigurationError("PERFGUARD", setting, 'must be a dictionary, such as {"TIMEOUT": 2.0}')
        return
    for name, value in setting.items():
        problem = _problem(name, value)
        if problem is not None:
            yield problem
    for name in _OF_THE_GUARD:
        if setting.get("GUARD") is not None and setting.get(name) is not None:
            yield ConfigurationError(_label(name), setting[name], "belongs to the guard that GUARD names: say it there")


def options(setting: Any) -> Options:
    """Return what a value of the setting comes to.

    Raises:
        ConfigurationError: Something in it is wrong.
    """
    for problem in problems(setting):
        raise problem
    values = effective(setting)
    return Options(
        guard=_guard(values["GUARD"]) or _made(values),
        timeout=values["TIMEOUT"],
        max_streams=values["MAX_STREAMS"],
        details=values["DETAILS"],
        exempt=Exempt(values["EXEMPT"]),
        trusted_proxies=tuple(values["TRUSTED_PROXIES"]),
        telemetry=_imported("TELEMETRY", values["TELEMETRY"]),
    )


def effective(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return every name with its value, the defaults included."""
    return {**DEFAULTS, **setting}


def _problem(name: Any, value: Any) -> ConfigurationError | None:
    check = _CHECKS.get(name)
    if check is None:
        close = get_close_matches(str(name), _CHECKS, n=1, cutoff=0.0)
        return UnknownSetting(_label(name), value, f"is no setting (did you mean {close[0]!r}?)")
    try:
        check(value)
    except ConfigurationError as error:
        return ConfigurationError(_label(name), error.value, error.remedy)
    return None


def _label(name: Any) -> str:
    return f"PERFGUARD[{name!r}]"


def _made(values: dict[str, Any]) -> Guard:
    keys = _MOST_KEYS if values["MAX_KEYS"] is None else values["MAX_KEYS"]
    return Guard(KeyedLimiter(max_keys=keys), enabled=values["ENABLED"], dry_run=values["DRY_RUN"])


def _guard(value: Any) -> Guard | None:
    """Return the guard that is given or named; `None` if there is none."""
    guard = _imported("GUARD", value)
    if guard is not None and not isinstance(guard, Guard):
        raise ConfigurationError("GUARD", value, "must be a Guard, or the dotted path of one")
    return guard


def _imported(name: str, value: Any) -> Any:
    """Return what is given, or what is there by a dotted path."""
    try:
        return import_string(value) if isinstance(value, str) else value
    except (ImportError, TypeError, ValueError) as error:
        # The last two are what a path that begins with a dot raises.
        raise ConfigurationError(name, value, f"must be importable ({error})") from None


def _lasting(name: str, value: Any) -> Any:
    """Return a value that may be read again: the checks, the middleware and the command each do."""
    if isinstance(value, Iterator):
        raise ConfigurationError(name, value, "must be a list: what is read from an iterator is gone")
    return value


def _maybe(check: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: value is None or check(value)


_CHECKS: Mapping[Any, Callable[[Any], object]] = {
    "GUARD": _guard,
    "ENABLED": lambda value: chosen("ENABLED", value, "PERFGUARD_ENABLED", default=True),
    "DRY_RUN": lambda value: chosen("DRY_RUN", value, "PERFGUARD_DRY_RUN", default=False),
    "MAX_KEYS": _maybe(lambda value: check_whole("MAX_KEYS", value, least=1)),
    "TIMEOUT": _maybe(lambda value: check_positive("TIMEOUT", value, "seconds")),
    "MAX_STREAMS": lambda value: check_whole("MAX_STREAMS", value, least=0),
    "DETAILS": lambda value: check_flag("DETAILS", value),
    "EXEMPT": lambda value: Exempt(_lasting("EXEMPT", value)),
    "TRUSTED_PROXIES": lambda value: ProxyClock(_lasting("TRUSTED_PROXIES", value)),
    "TELEMETRY": lambda value: telemetry_of(_imported("TELEMETRY", value)),
}
