"""`flask perfguard`: what is set for which rule, or the state of a running server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

import click
from flask import current_app
from flask.cli import with_appcontext

from perfguard_flask.middleware import GuardMiddleware

_MOST_BYTES = 1_000_000
_TIMEOUT = 10.0

_HINT = """\
Limits and counts live in the server's processes. To see them, set PERFGUARD_SNAPSHOT_PATH
and give the server's address: flask perfguard --url http://127.0.0.1:8000"""


@click.command("perfguard")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--url", help="Show the state of a running server. The path is PERFGUARD_SNAPSHOT_PATH if not given.")
@with_appcontext
def command(url: str | None, *, as_json: bool) -> None:
    """Show what guards this application: settings, and each rule's key, priority and exemption.

    With --url, show a running server's limits, requests in flight and queued, and refusals.
    """
    middleware: GuardMiddleware = current_app.extensions["perfguard"]
    if url is None:
        said = _described(middleware)
        text = None if as_json else _description(said)
    else:
        said = _fetched(_whole(url, middleware.settings["snapshot_path"].value))
        text = None if as_json else _state(said)
    click.echo(json.dumps(said, indent=2, default=_plain) if text is None else text)


def _described(middleware: GuardMiddleware) -> dict[str, Any]:
    guard, table = middleware.guard, middleware.table
    effective = {"enabled": guard.enabled, "dry_run": guard.dry_run}
    return {
        "settings": {
            name: {"value": effective.get(name, setting.value), "from": setting.typed or "default"}
            for name, setting in middleware.settings.items()
        },
        "routes": [
            {"key": each.key, "methods": methods, "priority": each.priority.name, "exempt": each.exempt}
            for each, methods in (() if table is None else table.targets())
        ],
    }


def _description(said: dict[str, Any]) -> str:
    settings = [(name, _shown(each["value"]), each["from"]) for name, each in said["settings"].items()]
    routes = [
        (each["key"], " ".join(each["methods"]) or "all", each["priority"], "exempt" if each["exempt"] else "")
        for each in said["routes"]
    ]
    tables = (_table(("setting", "value", "from"), settings), _table(("key", "methods", "priority", ""), routes))
    return "\n\n".join((*tables, _HINT))


def _whole(url: str, path: str | None) -> str:
    """Return the address of the snapshot: the configured path, where the address has none."""
    parts = _split(url)
    if parts.path.strip("/"):
        return url
    if path is None:
        raise click.BadParameter("needs the path of the snapshot: set PERFGUARD_SNAPSHOT_PATH", param_hint="--url")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise click.BadParameter("must be an address such as http://127.0.0.1:8000", param_hint="--url")


def _fetched(url: str) -> dict[str, Any]:
    try:
        with urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - the scheme was checked.
            said = json.loads(response.read(_MOST_BYTES))
        _state(said)
    except (HTTPException, OSError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise click.ClickException(f"{url} cannot be read: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise click.ClickException(f"{url} is no snapshot of perfguard; is it PERFGUARD_SNAPSHOT_PATH?") from None
    return dict(said)


def _state(said: dict[str, Any]) -> str:
    mode = "off" if not said["enabled"] else "dry run" if said["dry_run"] else "on"
    columns = ("key", "limit", "in_flight", "queued", "refused", "state")
    limits = [[str(each[name]) for name in columns] for each in said["limiters"]]
    refused = ", ".join(f"{count} {reason}" for reason, count in said["refused"].items())
    return "\n".join(
        (
            f"{said['name']}: {mode}, state {said['state']}, worker process {said['pid']}",
            f"admitted {said['admitted']}, refused {sum(said['refused'].values())}{f' ({refused})' * bool(refused)}",
            "",
            _table(("key", "limit", "in flight", "queued", "refused", "state"), limits),
        )
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _shown(value: object) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value)
    return " ".join(str(each) for each in value)


def _plain(value: Any) -> object:
    return list(value) if isinstance(value, Iterable) else str(value)
