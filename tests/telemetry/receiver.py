"""A collector: a real HTTP server that decodes OTLP and holds what it got."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import PATIENCE


class Got(NamedTuple):
    """One span or metric.

    Attributes:
        what: As it came.
        resource: The attributes of its resource.
        headers: Those of the request that brought it.
        peer: The port from which that came.
    """

    what: Any
    resource: dict[str, str]
    headers: dict[str, str]
    peer: int

    @property
    def attributes(self) -> dict[str, str]:
        """The texts among the attributes of a span."""
        return _attributes(self.what.attributes)


class Receiver:
    """A collector on a port of its own, up to the end of the block.

    Attributes:
        answers: The status of each answer to come, the last for all others; 0 never answers.
        retry_after: Goes with each answer that is no success.
        spans: The spans that it took.
        metrics: The metrics that it took.
        requests: How many exports it was asked to take.
    """

    def __init__(self, *answers: int, retry_after: str = "") -> None:
        self.answers = list(answers) or [200]
        self.retry_after = retry_after
        self.spans: list[Got] = []
        self.metrics: list[Got] = []
        self.requests = 0
        self.over = threading.Event()
        self._changed = threading.Condition()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join(PATIENCE)
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def names(self) -> list[str]:
        """The names of the spans, sorted."""
        return sorted(got.what.name for got in self.spans)

    def resources(self, key: str) -> set[str]:
        """The values of an attribute of the resources of all spans."""
        return {got.resource[key] for got in self.spans}

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what it got."""
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE), (self.names(), self.requests)

    def status(self) -> int:
        """Take the status of the next answer."""
        with self._changed:
            self.requests += 1
            status = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
            self._changed.notify_all()
            return status

    def take(self, path: str, body: bytes, headers: dict[str, str], peer: int) -> None:
        """Decode what was sent, and hold it."""
        with self._changed:
            if path == "/v1/traces":
                self.spans += [Got(span, resource, headers, peer) for span, resource in _spans(body)]
            else:
                self.metrics += [Got(metric, resource, headers, peer) for metric, resource in _metrics(body)]
            self._changed.notify_all()


class Server(ThreadingHTTPServer):
    """The HTTP server of a receiver."""

    receiver: Receiver
    daemon_threads = True
    block_on_close = False


class Handler(BaseHTTPRequestHandler):
    """Takes one export after the other from a connection that is kept alive."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        """Take an export; `/asked` is answered once there was one."""
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/asked":
            receiver.until(lambda: receiver.requests > 0)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status = receiver.status()
        if not status:
            receiver.over.wait()
            self.close_connection = True
            return
        if status == 200:
            receiver.take(
                self.path, body, {key.lower(): value for key, value in self.headers.items()}, self.client_address[1]
            )
        self.send_response(status)
        self.send_header("content-length", "0")
        if status != 200 and receiver.retry_after:
            self.send_header("retry-after", receiver.retry_after)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def _attributes(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}


def _spans(body: bytes) -> list[tuple[Any, dict[str, str]]]:
    return [
        (span, _attributes(of.resource.attributes))
        for of in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def _metrics(body: bytes) -> list[tuple[Any, dict[str, str]]]:
    return [
        (metric, _attributes(of.resource.attributes))
        for of in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in of.scope_metrics
        for metric in scope.metrics
    ]
