"""Programs that the tests run in processes of their own: OpenTelemetry is set up once for a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

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
