"""The files in examples/, run as they are."""

import asyncio
import logging
import runpy
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _app(name: str) -> Any:
    """Return the application of an example; its server is started only from the command line."""
    return runpy.run_path(str(EXAMPLES / name), run_name="example")["app"]


async def _get(app: Any, *paths: str) -> list[httpx.Response]:
    """Ask for all paths at the same time."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await asyncio.gather(*map(client.get, paths))


def test_every_example_is_tested() -> None:
    """A new one needs a test below."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {
        "dry_run.py",
        "fastapi_one_line.py",
        "fastapi_routes.py",
        "flask_app.py",
    }


def test_one_line_answers_everyone_under_a_burst() -> None:
    """All get an answer, some of them a refusal with a time to come back."""
    responses = asyncio.run(_get(_app("fastapi_one_line.py"), *["/report"] * 1500))

    assert Counter(each.status_code for each in responses).keys() == {200, 503}
    assert all("retry-after" in each.headers for each in responses if each.status_code == 503)


def test_routes_are_limited_each_on_their_own() -> None:
    """Reports are refused while every product is served, and the state can be read."""
    paths = ["/reports/7"] * 300 + ["/batch/reports"] * 300 + [f"/products/{number}" for number in range(20)]
    responses = asyncio.run(_get(_app("fastapi_routes.py"), *paths, "/guard"))

    statuses = [each.status_code for each in responses]
    assert 503 in statuses[:300]
    assert 503 in statuses[300:600]
    assert statuses[600:] == [200] * 21
    assert {"/reports/{customer}", "/batch/reports", "/products/{product}"} == responses[-1].json()["limits"].keys()


def test_dry_run_refuses_nothing_and_says_what_it_would_have(caplog: pytest.LogCaptureFixture) -> None:
    """The report names refusals and a limit near the pool's size."""
    app = _app("dry_run.py")

    async def scenario() -> tuple[list[httpx.Response], dict[str, Any]]:
        # Before calls have left, the wait behind them cannot be predicted.
        burst = await _get(app, *["/orders"] * 100) + await _get(app, *["/orders"] * 100)
        report: dict[str, Any] = (await _get(app, "/guard"))[0].json()
        return burst, report

    with caplog.at_level(logging.WARNING, "shop.guard"):
        burst, report = asyncio.run(scenario())

    assert {each.status_code for each in burst} == {200}
    assert sum(report["would_have_refused"].values()) == sum("would refuse" in text for text in caplog.messages) > 0
    assert report["advised_limit"] >= 1


def test_flask_limits_its_routes_each_on_their_own() -> None:
    """Reports are refused while every product is served, and the state can be read."""
    app = _app("flask_app.py")

    def get(path: str) -> int:
        with app.test_client().get(path) as response:
            return int(response.status_code)

    with ThreadPoolExecutor(80) as pool:
        reports = pool.map(get, ["/reports/7"] * 160)
        products = pool.map(get, [f"/products/{number}" for number in range(20)])
        assert set(products) == {200}
        assert set(reports) == {200, 503}

    assert [get(path) for path in ("/batch/reports", "/version")] == [200, 200]
    snapshot = app.test_client().get("/guard").json
    limits = {each["key"] for each in snapshot["limiters"]}
    assert limits == {"/reports/<int:customer>", "/products/<int:product>", "/batch/reports"}
    assert snapshot["in_flight"] == 0
