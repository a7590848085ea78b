"""`manage.py perfguard`: what the guard is set to, and what it makes of each route."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.core.management.base import BaseCommand, CommandError

from perfguard.errors import ConfigurationError
from perfguard.targets import Target
from perfguard_django.options import Exempt, effective, options, said
from perfguard_django.routes import targets

_PATIENCE = 10.0


class Command(BaseCommand):
    """Show the settings and the routes, or the snapshot of a running server."""

    help = "Shows the guard's effective settings and each route's key, priority and exemption; or a running server's."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take `--url` and `--json`."""
        parser.add_argument(
            "--url", help="show the snapshot that perfguard_django.snapshot_view gives at this address, instead"
        )
        parser.add_argument("--json", action="store_true", help="write JSON, for programs")

    def handle(self, *_: Any, url: str | None, json: bool, **__: Any) -> None:
        """Write what was asked for.

        Raises:
            CommandError: The settings are wrong, or nobody answers at the address.
        """
        report = _snapshot(url) if url else _project()
        self.stdout.write(_as_json(report) if json else (_live(report) if url else _settled(report)))


def _project() -> dict[str, Any]:
    try:
        options(said())
    except ConfigurationError as error:
        raise CommandError(str(error)) from None
    setting = effective(said())
    exempt = Exempt(setting["EXEMPT"])
    return {"settings": setting, "routes": [_route(each) for each in targets(exempt)]}


def _route(target: Target) -> dict[str, Any]:
    return {"key": target.key, "priority": target.priority.name, "exempt": target.exempt}


def _snapshot(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"--url must begin with http:// or https://, got {url!r}")
    try:
        # Its scheme is one of two.
        with urlopen(Request(url, headers={"Accept": "application/json"}), timeout=_PATIENCE) as answer:  # noqa: S310
            report = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise CommandError(f"no snapshot at {url}: {error}") from None
    if not isinstance(report, dict) or "limiters" not in report:
        raise CommandError(f"no snapshot at {url}: it is another page")
    return report


def _as_json(report: dict[str, Any]) -> str:
    return json.dumps(
        report, indent=2, default=lambda value: list(value) if isinstance(value, Iterable) else str(value)
    )


def _settled(report: dict[str, Any]) -> str:
    settings = [(name, repr(value)) for name, value in report["settings"].items()]
    routes = [(each["key"], each["priority"], "exempt" if each["exempt"] else "") for each in report["routes"]]
    return "\n".join((*_table(("SETTING", "VALUE"), settings), "", *_table(("KEY", "PRIORITY", ""), routes)))


def _live(report: dict[str, Any]) -> str:
    mode = "off" if not report["enabled"] else ("dry run" if report["dry_run"] else "on")
    refused = ", ".join(f"{count} {reason}" for reason, count in report["refused"].items()) or "none"
    head = f"{report['name']} ({mode}): {report['state']}, {report['admitted']} admitted, refused: {refused}"
    rows = [_limiter(each) for each in report["limiters"]]
    return "\n".join((head, "", *_table(("KEY", "IN FLIGHT", "LIMIT", "QUEUED", "REFUSED", "STATE"), rows)))


def _limiter(each: dict[str, Any]) -> Sequence[str]:
    return each["key"] or "*", *(str(each[name]) for name in ("in_flight", "limit", "queued", "refused", "state"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
