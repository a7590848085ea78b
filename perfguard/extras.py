"""What to install where an optional library is missing."""

from __future__ import annotations


def needed(module: str, libraries: frozenset[str], extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return the error to raise where `module` cannot import one of the libraries of an extra.

    It names the library and the command that installs it; an error about anything else
    comes back as it is.
    """
    missing = (error.name or "").partition(".")[0]
    if missing not in libraries:
        return error
    message = f"{module} needs {missing!r}. Install it with: pip install 'perfguard[{extra}]'"
    return ModuleNotFoundError(message, name=error.name)
