"""Setting OpenTelemetry up, against a real receiver and against those that are none."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfguard.telemetry._counting import SpanCount
from perfguard.telemetry._quiet import OncePerMinute
from tests.servers import running
from tests.telemetry.receiver import receiving

HEAD = """
import json, sys, time
from opentelemetry import metrics, trace
from perfguard.telemetry import PerfguardSampler, configure
def work(spans):
    tracer = trace.get_tracer("t")
    for number in range(spans):
        tracer.start_span(f"span {number}").end()
def said(**values):
    sys.stdout.write(json.dumps(values))
"""


def run(code: str, url: str = "http://127.0.0.1:9", **variables: str) -> tuple[dict[str, Any], str]:
    """Run code in a process of its own, whose end is bounded; return what it said, and its log."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": url} | variables
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "{}"), done.stderr


def test_spans_and_metrics_arrive_with_the_name_of_the_service() -> None:
    with receiving() as receiver:
        said, log = run(
            """
handle = configure("shop")
metrics.get_meter("m").create_counter("orders").add(1)
work(3)
flushed = handle.force_flush()
said(flushed=flushed, exported=handle.exported, dropped=handle.dropped)
""",
            receiver.url,
        )
    assert (said, log) == ({"flushed": True, "exported": 3, "dropped": 0}, "")
    assert sorted(span.name for span, _ in receiver.spans) == ["span 0", "span 1", "span 2"]
    assert {resource["service.name"] for _, resource in receiver.spans + receiver.metrics} == {"shop"}
    assert "orders" in {name for name, _ in receiver.metrics}


def test_what_waits_is_exported_when_the_process_ends() -> None:
    with receiving() as receiver:
        run("configure('shop'); work(3)", receiver.url)
    assert len(receiver.spans) == 3


def test_the_environment_names_the_service_first() -> None:
    with receiving() as receiver:
        run("configure('shop'); work(1)", receiver.url, OTEL_SERVICE_NAME="market")
    assert receiver.spans[0][1]["service.name"] == "market"


def test_the_environment_names_the_root_sampler() -> None:
    with receiving() as receiver:
        code = """
configure("shop"); work(3)
trace.get_tracer("t").start_span("late", attributes={"perfguard.queue.time": 1.0}).end()
"""
        run(code, receiver.url, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    assert [span.name for span, _ in receiver.spans] == ["late"]


@pytest.mark.parametrize("status", [None, 400, 503])
def test_a_collector_that_takes_nothing_delays_no_exit_and_what_is_lost_is_counted(status: int | None) -> None:
    with receiving(status) as receiver:
        said, log = run(
            """
handle = configure("shop")
work(10_000)
began = time.monotonic()
handle.shutdown()
said(dropped=handle.dropped, exported=handle.exported, took=time.monotonic() - began)
""",
            receiver.url,
        )
    assert (said["dropped"], said["exported"]) == (10_000, 0)
    assert said["took"] < 10.0
    assert "10000 spans were lost" in log
    assert len(log.splitlines()) < 12


def test_a_collector_that_is_not_there_floods_no_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said, log = run(
        """
handle = configure("shop")
for _ in range(20):
    work(1000)
    time.sleep(0.01)
handle.shutdown()
said(dropped=handle.dropped)
""",
        f"http://127.0.0.1:{port}",
    )
    assert said == {"dropped": 20_000}
    assert log.count("Queue full") <= 1
    assert log.count("Transient error") <= 1


def test_called_again_it_returns_what_the_first_call_set_up() -> None:
    said, _ = run("said(same=configure('a') is configure('b'))", OTEL_SDK_DISABLED="false")
    assert said == {"same": True}


def test_a_provider_of_somebody_else_is_left_alone() -> None:
    said, _ = run(
        """
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
try:
    configure("shop")
except Exception as error:
    said(error=type(error).__name__, text=str(error))
"""
    )
    assert said["error"] == "ConfigurationError"
    assert "leave configure() out" in said["text"]


def test_a_disabled_sdk_is_not_set_up() -> None:
    said, log = run(
        "handle = configure('shop'); work(3); said(made=[handle.tracer_provider, handle.meter_provider])",
        OTEL_SDK_DISABLED="true",
    )
    assert (said, log) == ({"made": [None, None]}, "")


@pytest.mark.parametrize(
    ("call", "variables", "named"),
    [
        ("configure('')", {}, "service_name"),
        ("configure(1)", {}, "service_name"),
        ("configure('s', sampler=1)", {}, "sampler"),
        ("configure('s', traces=1)", {}, "traces"),
        ("configure('s')", {"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER"),
        ("configure('s')", {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "SAMPLER_ARG"),
        ("configure('s')", {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"}, "SAMPLER_ARG"),
        ("configure('s')", {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "OTEL_BSP_MAX_QUEUE_SIZE"),
        ("configure('s')", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_wrong_arguments_and_variables_are_named(call: str, variables: dict[str, str], named: str) -> None:
    code = f"""
try:
    {call}
except Exception as error:
    said(error=type(error).__name__, text=str(error))
"""
    said, _ = run(code, **variables)
    assert said["error"] == "ConfigurationError"
    assert named in said["text"]


def test_importing_the_telemetry_does_not_load_the_sdk() -> None:
    said, _ = run("said(sdk='opentelemetry.sdk' in sys.modules)".replace("said(", "import perfguard.asgi; said("))
    assert said == {"sdk": True}  # HEAD names the sampler, which is the SDK's.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, perfguard.telemetry, perfguard.asgi; print('opentelemetry.sdk' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_each_worker_of_a_preloaded_gunicorn_exports_by_itself(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        """
import os
from perfguard.telemetry import configure
from perfguard.wsgi import GuardMiddleware
configure("shop")
def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
app = GuardMiddleware(app)
"""
    )
    with receiving() as receiver:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        try:
            command = ["-m", "gunicorn", "app:app", "-b", "127.0.0.1:{port}", "--preload", "--workers", "2"]
            with running(command, tmp_path) as server:
                workers: set[object] = set()
                while len(workers) < 2:
                    workers.add(server.get("/")[1])
        finally:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert {span.name for span, _ in receiver.spans} >= {"GET"}
    assert len(receiver.spans) >= 2


def test_spans_beyond_the_capacity_are_lost_and_counted() -> None:
    count = SpanCount(2)
    for _ in range(5):
        count.end()
    assert (count.ended, count.waiting, count.lost) == (5, 2, 3)
    count.take(2)
    count.deliver(2, taken=True)
    assert (count.exported, count.waiting, count.lost) == (2, 0, 3)
    count.end()
    count.give_up()
    assert count.lost == 4


def test_a_line_passes_once_a_minute_and_says_how_many_did_not() -> None:
    once = OncePerMinute()
    record = logging.LogRecord("n", logging.WARNING, "", 0, "failed %s", ("x",), None)
    passed = [once.passes(record, now) for now in (0.0, 1.0, 59.0)]
    assert passed == [True, False, False]
    assert once.passes(record, 61.0)
    assert record.getMessage() == "failed x (and 2 more like it)"
    assert once.suppressed == 2
