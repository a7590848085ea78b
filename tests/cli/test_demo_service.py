"""The service of the demonstration, and the way into the command line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from perfguard import cli
from perfguard.cli.demo.data import DATABASE, create_database
from perfguard.cli.demo.service import ConnectionPool, guarded, unguarded


@pytest.mark.parametrize("make", [unguarded, guarded])
def test_the_shop_answers_with_and_without_the_guard(
    make: Callable[[], FastAPI], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "shop.db"
    create_database(database)
    monkeypatch.setenv(DATABASE, str(database))

    async def main() -> None:
        app = make()
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/products/17")).json()["id"] == 17
            assert (await client.get("/products/999999999")).status_code == 404
            orders = (await client.get("/customers/42/orders")).json()
            assert orders
            assert all(each["total"] == sum(item["cents"] for item in each["items"]) for each in orders)
            assert (await client.get("/reports/sales")).json()[0]["mean"] > 0

    asyncio.run(main())


def test_the_pool_shows_how_many_connections_are_free(tmp_path: Path) -> None:
    pool = ConnectionPool(tmp_path / "x.db", 2)
    assert repr(pool) == "<ConnectionPool: 2 of 2 free>"
    pool.close()


def test_the_command_line_starts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["perfguard", "--help"])
    with pytest.raises(SystemExit) as leave:
        cli.main()
    assert leave.value.code == 0
    assert "demo" in capsys.readouterr().out


def test_a_missing_library_is_a_sentence_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "perfguard.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as leave:
        cli.main()
    assert leave.value.code == 2
    assert "pip install 'perfguard[cli]'" in capsys.readouterr().err


def test_a_library_that_is_not_of_the_extra_is_an_error_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "perfguard.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "perfguard.cli.durations", None)
    with pytest.raises(ModuleNotFoundError):
        cli.main()
