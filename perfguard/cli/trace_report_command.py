"""What `perfguard trace-report` does with its file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from perfguard.cli.outputs import Outputs
from perfguard.cli.trace_report import print_trace_report
from perfguard.errors import ConfigurationError, PerfguardError
from perfguard.telemetry.serial import Independence, serial_report
from perfguard.telemetry.trace_file import TraceFileError, read_spans


class NoRequestsError(PerfguardError):
    """The traces are there, but none of a request."""


def execute_trace_report(file: str, independence: Independence, outputs: Outputs) -> None:
    """Read a file of traces, and report on its routes.

    Args:
        file: Its path; `-` is the standard input.
        independence: Which spans are taken to be independent.
        outputs: Where the figures go.

    Raises:
        ConfigurationError: The file cannot be read, or is not OTLP JSON.
        NoRequestsError: No span in it is of a request.
    """
    try:
        report = serial_report(read_spans(_read(file)), independence)
    except TraceFileError as error:
        raise ConfigurationError("file", file, f"must be OTLP JSON; {error}") from None
    if not report.routes:
        kinds = "none is of kind SERVER" if report.spans else "it has no spans at all"
        raise NoRequestsError(f"no request in {file}: of its {report.spans:,} spans, {kinds}")
    print_trace_report(outputs.console(), report)
    outputs.write_json(asdict(report))


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError("file", file, f"must be a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError("file", file, "must be OTLP JSON in UTF-8 (is it compressed?)") from None
