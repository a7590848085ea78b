"""The `perfguard` command: a demonstration, and a load generator."""

from __future__ import annotations

import sys

_EXTRA = frozenset({"fastapi", "hdrh", "httptools", "rich", "starlette", "typer", "uvicorn"})


def main() -> None:
    """Run the command line; exits the process.

    The libraries that the command needs are those of the extra `cli`; without them it says so and exits with 2.
    """
    try:
        from perfguard.cli.commands import app
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        sys.stderr.write(f"The perfguard command needs {missing!r}. Install it with: pip install 'perfguard[cli]'\n")
        raise SystemExit(2) from None
    app(prog_name="perfguard")
