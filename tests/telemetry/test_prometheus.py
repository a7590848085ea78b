"""Debian's Prometheus scrapes a real server, and is asked for what it got."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers import ROOT, Running, free_port, launched, running, until
from tests.telemetry.peers import folder_for, peer

pytestmark = pytest.mark.slow

APP = """
import asyncio
from fastapi import FastAPI
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import make_asgi_app
from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.telemetry import Telemetry

provider = MeterProvider([PrometheusMetricReader()])
api = FastAPI()
api.mount("/metrics", make_asgi_app())

@api.get("/orders/{order}")
async def order(order: int):
    await asyncio.sleep(0.01)
    return order

app = GuardMiddleware(
    api,
    Guard(Limiter(FixedLimit(4))),
    telemetry=Telemetry(meter_provider=provider),
    trusted_proxies=["127.0.0.1"],
    exempt=["/healthz", "/metrics", "/metrics/"],
)
"""

CONFIGURATION = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: shop
    metrics_path: /metrics/
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""

_QUERY = re.compile(r"^```promql\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = _QUERY.findall((ROOT / "docs" / "telemetry.md").read_text())

ROUTE = 'http_route="/orders/{order}"'


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, server: Running) -> None:
        self._address = f"{server.url}/api/v1/query"

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = httpx.get(self._address, params={"query": query}, trust_env=False).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def value(self, query: str) -> float:
        """The one value of an instant query, 0 if there is none."""
        result = self.ask(query)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else 0.0


def load(service: Running) -> None:
    """Twenty requests one after the other; some come from a proxy whose clock is ahead."""
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        for number in range(20):
            stamp = "t=1_700_000_000" if number % 2 else "t=33000000000"
            client.get(f"/orders/{number}", headers={"X-Request-Start": stamp}).raise_for_status()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that has scraped a service before and after its load."""
    program, tmp_path = peer("prometheus"), tmp_path_factory.mktemp("prometheus")
    service_folder, folder = folder_for("service", tmp_path), folder_for("prometheus", tmp_path)
    (service_folder / "app.py").write_text(APP)
    with running(["-m", "uvicorn", "app:app", "--port", "{port}"], service_folder) as service:
        port = free_port()
        (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=service.port))
        command = [
            program,
            "--config.file=prometheus.yml",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with launched(command, folder, {}, port=port) as server:
            asked = Prometheus(server)
            until(lambda: bool(asked.ask('up{job="shop"} == 1')), "the service is scraped")
            load(service)
            until(lambda: asked.value(f"http_server_request_duration_seconds_count{{{ROUTE}}}") == 20, "all is scraped")
            load(service)
            until(lambda: asked.value(f"http_server_request_duration_seconds_count{{{ROUTE}}}") == 40, "all is scraped")
            yield asked


def test_the_duration_has_the_routes_template(prometheus: Prometheus) -> None:
    """By the names of the convention, in Prometheus's spelling."""
    (series,) = prometheus.ask("http_server_request_duration_seconds_count")
    labels = series["metric"]
    assert labels["http_request_method"] == "GET"
    assert labels["http_route"] == "/orders/{order}"
    assert labels["http_response_status_code"] == "200"


@pytest.mark.parametrize(
    "name",
    [
        "perfguard_request_time_in_queue_seconds_count",
        "perfguard_request_service_duration_seconds_count",
        "perfguard_requests_total",
        "perfguard_limit",
        "perfguard_active_leases",
        "perfguard_queued_requests",
        "perfguard_backpressure_state",
        "http_server_active_requests",
        "perfguard_queue_header_rejected_total",
    ],
)
def test_the_metric_arrives(prometheus: Prometheus, name: str) -> None:
    assert prometheus.ask(name)


def test_requests_are_counted_by_the_result_of_admission(prometheus: Prometheus) -> None:
    assert prometheus.value('perfguard_requests_total{perfguard_admission_result="acquired"}') == 40.0


def test_the_limit_is_the_guards(prometheus: Prometheus) -> None:
    assert prometheus.value("perfguard_limit") == 4.0


def test_rejected_stamps_are_counted_by_reason(prometheus: Prometheus) -> None:
    found = prometheus.ask("perfguard_queue_header_rejected_total")
    counts = {each["metric"]["perfguard_rejection_reason"]: float(each["value"][1]) for each in found}
    assert counts == {"malformed": 20.0, "future": 20.0}


@pytest.mark.parametrize("query", DOCUMENTED)
def test_the_documented_queries_are_understood(prometheus: Prometheus, query: str) -> None:
    """Each has an answer; the one for clocks that are ahead has none, as no clock is."""
    assert bool(prometheus.ask(query)) is ("clock_offset" not in query)
