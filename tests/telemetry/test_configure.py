"""Setting OpenTelemetry up, against a real receiver and against those that are none."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest

from perfguard.telemetry._quiet import OncePerMinute
from tests.telemetry.programs import run
from tests.telemetry.receiver import Receiver

NOTHING = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}

REQUESTS = """
import asyncio
from collections import Counter
from perfguard.asgi import GuardMiddleware
async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
async def requests(app, number):
    statuses = Counter()
    async def send(message):
        if "status" in message:
            statuses[message["status"]] += 1
    scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": []}
    for _ in range(number):
        await app(scope, None, send)
    return statuses
handle = configure("shop")
statuses = asyncio.run(requests(GuardMiddleware(bare), 5000))
began = time.monotonic()
handle.shutdown()
took = time.monotonic() - began
waiting = sum(statuses.values()) - handle.exported - handle.dropped
said(statuses=statuses, waiting=waiting, exported=handle.exported, dropped=handle.dropped, took=took)
"""


def test_spans_and_metrics_arrive_with_the_name_of_the_service() -> None:
    with Receiver() as receiver:
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
    assert receiver.names() == ["span 0", "span 1", "span 2"]
    assert {got.resource["service.name"] for got in receiver.spans + receiver.metrics} == {"shop"}
    assert {"orders", "perfguard.lost_spans"} <= {got.what.name for got in receiver.metrics}


def test_what_waits_is_exported_when_the_process_ends() -> None:
    with Receiver() as receiver:
        run("configure('shop'); work(3); metrics.get_meter('m').create_counter('orders').add(1)", receiver.url)
    assert len(receiver.spans) == 3
    assert "orders" in {got.what.name for got in receiver.metrics}


def test_the_environment_names_the_service_first() -> None:
    with Receiver() as receiver:
        run("configure('shop'); work(1)", receiver.url, OTEL_SERVICE_NAME="market")
    assert receiver.resources("service.name") == {"market"}


def test_the_environment_describes_the_service_and_has_the_headers_and_the_compression() -> None:
    with Receiver() as receiver:
        run(
            "configure('shop'); work(1)",
            receiver.url,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=secret",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
    assert receiver.resources("service.name") == {"shop"}
    assert receiver.resources("deployment.environment.name") == {"test"}
    assert receiver.spans[0].headers["authorization"] == "secret"
    assert receiver.spans[0].headers["content-encoding"] == "gzip"


def test_the_environment_names_the_root_sampler() -> None:
    with Receiver() as receiver:
        code = """
configure("shop"); work(3)
trace.get_tracer("t").start_span("late", attributes={"perfguard.queue.time": 1.0}).end()
"""
        run(code, receiver.url, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    assert receiver.names() == ["late"]


@pytest.mark.parametrize(
    ("variables", "spans", "metrics"),
    [({"OTEL_TRACES_EXPORTER": "none"}, False, True), ({"OTEL_METRICS_EXPORTER": "none"}, True, False)],
    ids=["no traces", "no metrics"],
)
def test_the_environment_turns_a_signal_off(variables: dict[str, str], *, spans: bool, metrics: bool) -> None:
    with Receiver() as receiver:
        code = "configure('shop'); work(1); metrics.get_meter('m').create_counter('orders').add(1)"
        run(code, receiver.url, **variables)
    assert (bool(receiver.spans), bool(receiver.metrics)) == (spans, metrics)


# The SDK's own processor would wait for 30 s, and an exporter for 10 s.
@pytest.mark.parametrize(
    "answer",
    [0, 400, 503, pytest.param(429, marks=pytest.mark.slow), pytest.param(None, marks=pytest.mark.slow)],
    ids=["hangs", "400", "503", "429", "closed"],
)
def test_a_collector_that_takes_nothing_costs_requests_nothing(answer: int | None) -> None:
    with Receiver(answer or 0, retry_after="60") as receiver:
        gone = receiver.url
        told = None if answer is None else run(REQUESTS, receiver.url)
    said, log = told or run(REQUESTS, gone)
    assert said["statuses"] == {"200": 5000}
    assert (said["waiting"], said["exported"]) == (0, 0)
    assert said["dropped"] == 5000
    assert said["took"] < 8.0
    assert "spans were lost" in log
    assert len(log.splitlines()) <= 8, log


def test_the_exit_of_a_process_is_not_delayed_by_a_collector_that_hangs() -> None:
    code = """
import atexit
atexit.register(lambda: said(took=time.monotonic() - began))
configure("shop"); work(3)
began = time.monotonic()
"""
    with Receiver(0) as receiver:
        said, log = run(code, receiver.url)
    assert said["took"] < 8.0
    assert "3 spans were lost" in log


FORKS = """
import os
handle = configure("shop")
tracer = trace.get_tracer("t")
tracer.start_span("parent's first").end()
handle.force_flush()
tracer.start_span("parent's second").end()
child = os.fork()
if not child:
    exported = handle.exported
    tracer.start_span("child's").end()
    handle.force_flush()
    assert (exported, handle.exported) == (0, 1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
handle.force_flush()
"""


def test_a_forked_child_exports_its_own_spans_each_once() -> None:
    with Receiver() as receiver:
        run(FORKS, receiver.url)
    assert receiver.names() == ["child's", "parent's first", "parent's second"]


def test_a_forked_child_uses_no_connection_of_its_parent() -> None:
    with Receiver() as receiver:
        run(FORKS, receiver.url)
    peers = {got.what.name: got.peer for got in receiver.spans}
    assert peers["parent's first"] == peers["parent's second"] != peers["child's"]


def test_a_forked_child_is_an_instance_of_its_own() -> None:
    with Receiver() as receiver:
        run(FORKS, receiver.url)
    assert len(receiver.resources("service.instance.id")) == 2


def test_a_child_that_is_forked_while_its_parent_exports_metrics_exports_its_own() -> None:
    code = """
import os
handle = configure("shop")
orders = metrics.get_meter("m").create_counter("orders")
orders.add(1)
parent_exports()
child = os.fork()
if not child:
    orders.add(1)
    assert handle.force_flush(20.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    waits = """
import urllib.request
def parent_exports():
    urllib.request.urlopen(URL, b"").close()
"""
    with Receiver(0, 200) as receiver:
        url = f"URL = {receiver.url + '/asked'!r}"
        run(url + waits + code, receiver.url, OTEL_METRIC_EXPORT_INTERVAL="10", OTEL_TRACES_EXPORTER="none")
    assert "orders" in {got.what.name for got in receiver.metrics}


def test_it_says_what_became_of_the_spans_and_of_the_lines_of_the_exporters() -> None:
    code = """
handle = configure("shop")
for _ in range(3):
    work(2)
    handle.force_flush()
ended = [handle.shutdown(), handle.shutdown()]
said(ended=ended, why=handle.dropped_by_reason, suppressed=handle.suppressed > 0, text=repr(handle))
"""
    with Receiver(400) as receiver:
        said, _ = run(code, receiver.url)
    assert said["ended"] == [True, True]
    assert said["why"] == {"queue_full": 0, "export_failed": 6, "shutdown": 0}
    assert said["suppressed"]
    assert said["text"].startswith("<Configuration <SpanQueue 0 waiting, 0 exported, 6 lost>")


def test_metrics_that_cannot_be_exported_are_told_and_break_nothing() -> None:
    code = """
handle = configure("shop")
def fail(*args, **kwargs):
    raise RuntimeError("broken")
handle.meter_provider.force_flush = handle.meter_provider.shutdown = fail
work(1)
said(flushed=handle.force_flush(), ended=handle.shutdown(), exported=handle.exported)
"""
    with Receiver() as receiver:
        said, log = run(code, receiver.url)
    assert said == {"flushed": True, "ended": True, "exported": 1}
    assert log.count("metrics are lost") == 2


def test_called_again_it_returns_what_the_first_call_set_up() -> None:
    with Receiver() as receiver:
        said, _ = run("said(same=configure('a') is configure('b'))", receiver.url, OTEL_SDK_DISABLED="false")
    assert said == {"same": True}


def test_it_is_found_by_its_name_whatever_was_imported_before() -> None:
    said, _ = run("from perfguard.telemetry import configuration, configure as again; said(same=again is configure)")
    assert said == {"same": True}


def test_a_meter_provider_of_somebody_else_is_left_alone_and_nothing_is_set_up() -> None:
    said, _ = run(
        """
from opentelemetry.sdk.metrics import MeterProvider
metrics.set_meter_provider(MeterProvider())
try:
    configure("shop")
except Exception as error:
    said(error=type(error).__name__, tracers=type(trace.get_tracer_provider()).__name__)
"""
    )
    assert said == {"error": "ConfigurationError", "tracers": "ProxyTracerProvider"}


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter", "requests"])
def test_a_library_that_is_missing_is_named_with_its_extra(missing: str) -> None:
    code = f"""
import json, sys
sys.modules[{missing!r}] = None
from perfguard.telemetry import configure
try:
    configure("shop")
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kind, text = json.loads(done.stdout)
    assert kind == "ConfigurationError"
    assert "perfguard[otel]" in text
    assert missing in text


def test_with_the_sdk_disabled_it_need_not_be_installed() -> None:
    code = "import sys; sys.modules['opentelemetry.sdk'] = None; import perfguard.telemetry as t; t.configure('shop')"
    environment = os.environ | {"OTEL_SDK_DISABLED": "true"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


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
        ("configure('s')", {"OTEL_BSP_SCHEDULE_DELAY": "1e3"}, "OTEL_BSP_SCHEDULE_DELAY"),
        ("configure('s')", {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9" * 20_000}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        ("configure('s')", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ("configure('s')", {"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER"),
        ("configure('s').shutdown(0)", NOTHING, "timeout"),
        ("configure('s').force_flush(-1)", NOTHING, "timeout"),
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


def test_a_line_passes_once_a_minute_and_says_how_many_did_not() -> None:
    once = OncePerMinute()
    record = logging.LogRecord("n", logging.WARNING, "", 0, "failed %s", ("x",), None)
    passed = [once.passes(record, now) for now in (0.0, 1.0, 59.0)]
    assert passed == [True, False, False]
    assert once.passes(record, 61.0)
    assert record.getMessage() == "failed x (and 2 more like it)"
    assert once.suppressed == 2


def test_lines_that_all_differ_fill_no_memory() -> None:
    once = OncePerMinute()
    for number in range(1000):
        assert once.passes(logging.LogRecord("n", logging.WARNING, "", 0, f"failed {number}", (), None), 0.0)
    assert len(once._passed) <= 100  # noqa: SLF001
