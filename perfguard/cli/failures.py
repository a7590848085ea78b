"""How commands fail: one style of message, and an exit status that scripts can tell apart."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

from perfguard.cli.load import UnreachableError
from perfguard.errors import ConfigurationError, PerfguardError

FAILED = 1
USAGE = 2
INTERRUPTED = 130
TERMINATED = 143

_HINTS = {"url": ["URL"], "targets": ["--rate", "--duration"], "file": ["FILE"]}


class NothingSucceededError(PerfguardError):
    """The figures are there, but none of them is of a success."""


@contextmanager
def reported_errors(context: typer.Context) -> Iterator[None]:
    """Turn errors into a sentence and an exit status: 2 for a wrong argument, 1 for a failure, 130 for Ctrl-C."""
    handlers = {number: signal.signal(number, _terminate) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except ConfigurationError as error:
        raise _bad_parameter(error, context) from None
    except UnreachableError as error:
        fail(f"Error: {error}", USAGE)
    except PerfguardError as error:
        fail(f"Error: {error}", FAILED)
    except KeyboardInterrupt:
        fail("Interrupted.", INTERRUPTED)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def fail(message: str, status: int) -> NoReturn:
    """Say why, and leave with a status."""
    sys.stderr.write(message + "\n")
    raise typer.Exit(status)


def _bad_parameter(error: ConfigurationError, context: typer.Context) -> typer.BadParameter:
    """In Typer's own words and form, with the name and the value as they were typed."""
    hint = _HINTS.get(error.name, [f"--{error.name.replace('_', '-')}"])
    typed = context.params.get(error.name)
    shown = repr(typed) if isinstance(typed, str) and typed else _shown(error.value)
    return typer.BadParameter(f"{error.remedy}, got {shown}.", ctx=context, param_hint=hint)


def _shown(value: object) -> str:
    return f"{value:,g}" if isinstance(value, float) else repr(value)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, so that no process stays behind."""
    del number, frame
    raise SystemExit(TERMINATED)
