"""A real trace backend, Arize Phoenix, gets the traces of a real server over OTLP and shows them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from perfguard.telemetry.serial import serial_report
from perfguard.telemetry.trace_file import RecordedSpan, SpanKind, read_spans
from tests.servers import ROOT, Running, free_port, launched, running, until
from tests.telemetry.peers import folder_for

pytestmark = pytest.mark.backend

PHOENIX = ROOT / ".venv-backend" / "bin" / "phoenix"
PROJECT = "shop"
REQUESTS = 8

APP = """
import asyncio
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from perfguard.asgi import GuardMiddleware
from perfguard.guard import Guard
from perfguard.limits import FixedLimit, Limiter
from perfguard.queueing import AdmissionQueue
from perfguard.telemetry import Telemetry

provider = TracerProvider(resource=Resource.create({"openinference.project.name": "PROJECT", "service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter("BACKEND/v1/traces")))
tracer = provider.get_tracer("shop")
api = FastAPI()

async def query(name, seconds):
    with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes={"db.system.name": "sqlite"}):
        await asyncio.sleep(seconds)

@api.get("/orders/{order}")
async def order(order: int):
    await query("SELECT orders", 0.01)
    for _ in range(6):
        await query("SELECT item", 0.005)
    with tracer.start_as_current_span("render"):
        await asyncio.sleep(0.01)
    return order

app = GuardMiddleware(
    api,
    Guard(Limiter(FixedLimit(1), AdmissionQueue(target=60.0, max_wait=60.0))),
    telemetry=Telemetry(tracer_provider=provider, queue_spans=True),
    exempt=["/healthz"],
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A Phoenix that runs, and what it holds."""

    server: Running
    spans: tuple[RecordedSpan, ...]

    def of(self, name: str) -> list[RecordedSpan]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def below(self, request: RecordedSpan, name: str) -> RecordedSpan:
        """The span of a name below a request."""
        (found,) = (span for span in self.of(name) if span.parent_id == request.span_id)
        return found


def ask(server: Running, path: str, **parameters: Any) -> Any:
    """What Phoenix's API answers; nothing as long as it does not know the project."""
    answer = httpx.get(f"{server.url}/v1/projects{path}", params=parameters, trust_env=False, timeout=20.0)
    return None if answer.status_code == 404 else answer.raise_for_status().json()


def spans_of(server: Running) -> tuple[RecordedSpan, ...]:
    """All spans of the project, in Phoenix's own rendering of OTLP."""
    answer = ask(server, f"/{PROJECT}/spans/otlpv1", limit=1000) or {"data": []}
    return read_spans(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": plain(answer["data"])}]}]}))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """One that was sent the traces of requests which came at once, for a service that takes one at a time."""
    if not PHOENIX.exists():
        pytest.skip("Arize Phoenix is not installed: run `make backend`")
    tmp_path = tmp_path_factory.mktemp("backend")
    folder, port = folder_for("phoenix", tmp_path), free_port()
    environment = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_WORKING_DIR": str(folder),
    }
    with launched([str(PHOENIX), "serve"], folder, environment, port=port, patience=120.0) as server:
        load(server, folder_for("service", tmp_path))
        until(lambda: len(spans_of(server)) >= REQUESTS * 11, "all spans have come")
        yield Backend(server=server, spans=spans_of(server))


def load(phoenix: Running, folder: Path) -> None:
    """Ask the service, all at once."""
    (folder / "app.py").write_text(APP.replace("BACKEND", phoenix.url).replace("PROJECT", PROJECT))
    with running(["-m", "uvicorn", "app:app", "--port", "{port}"], folder) as service, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(service.get, [f"/orders/{number}" for number in range(REQUESTS)]))
    assert {status for status, _ in answers} == {200}


def test_each_request_is_one_server_span_by_its_route(backend: Backend) -> None:
    requests = backend.of("GET /orders/{order}")
    assert len(requests) == REQUESTS
    assert {span.parent_id for span in requests} == {""}


def test_queue_and_service_are_bars_of_their_own_and_make_up_the_request(backend: Backend) -> None:
    for request in backend.of("GET /orders/{order}"):
        queue, service = backend.below(request, "queue"), backend.below(request, "service")
        assert queue.start == pytest.approx(request.start, abs=1e-5)
        assert queue.end == pytest.approx(service.start, abs=1e-5)
        assert service.end == pytest.approx(request.end, abs=1e-5)


def test_the_queue_is_as_long_as_the_attribute_says(backend: Backend) -> None:
    """And of requests that came at once for one place, it is not nothing."""
    requests = backend.of("GET /orders/{order}")
    for request in requests:
        queue = backend.below(request, "queue")
        assert queue.end - queue.start == pytest.approx(request.attributes["perfguard.queue.time"], abs=1e-4)
    assert max(float(request.attributes["perfguard.queue.time"]) for request in requests) > 0.05


def test_what_the_application_records_is_below_the_request(backend: Backend) -> None:
    requests = {span.span_id for span in backend.of("GET /orders/{order}")}
    assert {span.parent_id for span in backend.of("SELECT item")} <= requests
    assert len(backend.of("SELECT item")) == 6 * REQUESTS


def test_what_the_backend_gives_back_can_be_reported_on(backend: Backend) -> None:
    """With the kind of the requests' spans, which Phoenix does not keep."""
    spans = [span if span.parent_id else replace(span, kind=SpanKind.SERVER) for span in backend.spans]
    (route,) = serial_report(spans).routes
    assert (route.method, route.route, route.traces) == ("GET", "/orders/{order}", REQUESTS)
    assert [(row.labels, row.most) for row in route.sequential if row.suspicious] == [(("SELECT item",), 6)]


def test_the_trace_can_be_seen(backend: Backend, tmp_path: Path) -> None:
    """`SCREENSHOT=docs/images/trace.png make backend` makes the picture in the documents."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    target = Path(os.environ.get("SCREENSHOT") or tmp_path / "trace.png").absolute()
    request = sorted(backend.of("GET /orders/{order}"), key=lambda span: span.end - span.start)[REQUESTS // 2]
    project = ask(backend.server, f"/{PROJECT}")["data"]["id"]
    address = f"{backend.server.url}/projects/{project}/traces/{request.trace_id}"
    photograph(chromium, address, target, tmp_path)
    assert target.read_bytes().startswith(b"\x89PNG")


def photograph(chromium: str, address: str, target: Path, folder: Path) -> None:
    """Take a picture of a page once it has drawn itself."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={folder / 'profile'}", "--window-size=1500,940", "--virtual-time-budget=20000"]
    command = [chromium, *options, f"--screenshot={target}", address]
    subprocess.run(command, check=True, timeout=90, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def plain(value: Any) -> Any:
    """What Phoenix writes, with the names of OTLP JSON and without the fields that it leaves empty."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    words = {key: key.split("_") for key, each in value.items() if each is not None}
    return {word[0] + "".join(map(str.title, word[1:])): plain(value[key]) for key, word in words.items()}
