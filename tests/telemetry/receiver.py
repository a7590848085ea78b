"""A real receiver of OTLP over HTTP: it decodes what comes, and holds it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What a receiver holds.

    Args:
        status: What it answers; `None` never answers.

    Attributes:
        url: Its endpoint.
        spans: Every span, with the attributes of its resource.
        metrics: Every metric's name, with the attributes of its resource.
        requests: How many requests came.
    """

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.url = ""
        self.spans: list[tuple[Any, dict[str, str]]] = []
        self.metrics: list[tuple[str, dict[str, str]]] = []
        self.requests = 0
        self.ended = threading.Event()

    def take(self, path: str, body: bytes) -> None:
        """Decode a request and hold what is in it."""
        self.requests += 1
        if self.status != 200:
            return
        if path == "/v1/traces":
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans = [span for scope in traced.scope_spans for span in scope.spans]
                self.spans += [(span, _texts(traced.resource.attributes)) for span in spans]
        else:
            for measured in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                found = [metric.name for scope in measured.scope_metrics for metric in scope.metrics]
                self.metrics += [(name, _texts(measured.resource.attributes)) for name in found]


def _texts(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextlib.contextmanager
def receiving(status: int | None = 200) -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            if receiver.status is None:
                receiver.ended.wait()
                return
            self.send_response(receiver.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
