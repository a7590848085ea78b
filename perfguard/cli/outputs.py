"""Where a command writes its results."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from perfguard.errors import ConfigurationError

_STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The files of a command, checked before the work begins.

    Args:
        json: For the figures; `-` is the standard output, and then everything for people goes to standard error.
        html: For the page.

    Raises:
        ConfigurationError: A file cannot be written.
    """

    json: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        if self.json is not None and self.json != _STANDARD_OUTPUT:
            _check_writable("json", self.json)
        if self.html is not None:
            _check_writable("html", self.html)

    def console(self) -> Console:
        """The console for people."""
        return Console(stderr=self.json == _STANDARD_OUTPUT, highlight=False)

    def write_json(self, figures: dict[str, object]) -> None:
        """Write the figures where they were asked for."""
        if self.json is None:
            return
        text = json.dumps(figures, indent=2) + "\n"
        if self.json == _STANDARD_OUTPUT:
            sys.stdout.write(text)
        else:
            self.json.write_text(text, encoding="utf-8")

    def write_html(self, page: str) -> None:
        """Write the page where it was asked for."""
        if self.html is not None:
            self.html.write_text(page, encoding="utf-8")


def _check_writable(name: str, path: Path) -> None:
    if path.is_dir():
        raise ConfigurationError(name, str(path), "must be a file, not a folder")
    if not path.parent.is_dir():
        raise ConfigurationError(name, str(path), "must be in a folder that exists")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigurationError(name, str(path), "must be a file that can be written")
