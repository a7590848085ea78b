"""`perfguard trace-report`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from perfguard.cli.commands import app
from tests.telemetry.traces import Recorder


@pytest.fixture(scope="module")
def traces() -> str:
    """A route with ten queries in a row, and one with nothing to gain."""
    recorder = Recorder()
    for _ in range(5):
        queries = [("SELECT item", 0.1 + at * 0.05, 0.15 + at * 0.05) for at in range(10)]
        recorder.request("/orders/{id}", [*queries, ("render", 0.6, 0.7)], 0.7, **{"perfguard.queue.time": 0.02})
    recorder.request("/ping", [], 0.01)
    return recorder.text()


@pytest.fixture
def file(traces: str, tmp_path: Path) -> Path:
    """A file of them."""
    path = tmp_path / "traces.jsonl"
    path.write_text(traces, encoding="utf-8")
    return path


def invoke(*arguments: object, given: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["trace-report", *map(str, arguments)], input=given, env={"COLUMNS": "120"})
    return result.exit_code, result.output


def test_each_route_is_reported(file: Path) -> None:
    code, output = invoke(file)
    assert code == 0
    assert "GET /orders/{id}  5 traces" in output
    assert "GET /ping  1 trace\n" in output
    assert "N+1?" in output
    assert "SELECT item x 10" in output
    assert "2.96 times as fast (Amdahl)" in " ".join(output.split())


def test_the_figures_can_be_had_as_json(file: Path) -> None:
    """The report for people then goes to standard error."""
    figures = json.loads(CliRunner().invoke(app, ["trace-report", str(file), "--json", "-"]).stdout)
    assert [route["route"] for route in figures["routes"]] == ["/orders/{id}", "/ping"]
    assert figures["routes"][0]["queue"]["median"] == 0.02


def test_traces_are_read_from_standard_input(traces: str) -> None:
    assert invoke("-", given=traces)[0] == 0


def test_all_siblings_can_be_taken_to_be_independent(file: Path) -> None:
    code, output = invoke(file, "--independent", "siblings")
    assert code == 0
    assert "no two spans below one span" in output


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ('{"data": []}', 2, "there is no 'resourceSpans'"),
        ("{", 2, "line 1: not JSON"),
        ("", 1, "it has no spans at all"),
        ('{"resourceSpans": []}', 1, "it has no spans at all"),
    ],
    ids=["another format", "no JSON", "empty", "no spans"],
)
def test_a_file_without_requests_is_named_with_the_reason(text: str, status: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    path.write_text(text)
    code, output = invoke(path)
    assert code == status
    assert message in output


def test_traces_without_a_server_span_are_named_as_such(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.tracer.start_span("job").end()
    path = tmp_path / "traces.json"
    path.write_text(recorder.text())
    assert invoke(path) == (1, f"Error: no request in {path}: of its 1 spans, none is of kind SERVER\n")


def test_a_missing_file_is_a_wrong_argument(tmp_path: Path) -> None:
    code, output = invoke(tmp_path / "missing.json")
    assert code == 2
    assert "must be a file that can be read (No such file or directory)" in output


def test_a_compressed_file_is_a_wrong_argument(tmp_path: Path) -> None:
    path = tmp_path / "traces.gz"
    path.write_bytes(b"\x1f\x8b\xff")
    code, output = invoke(path)
    assert code == 2
    assert "is it compressed?" in output


def test_an_assumption_that_does_not_exist_is_a_wrong_argument(file: Path) -> None:
    code, output = invoke(file, "--independent", "none")
    assert code == 2
    assert "must be same-label or siblings" in output


def test_text_in_spans_is_shown_as_it_is(tmp_path: Path) -> None:
    """Brackets are no markup."""
    recorder = Recorder()
    recorder.request("/[bold]x[/]", [("[red]y", 0.0, 0.1)], 0.1)
    path = tmp_path / "traces.json"
    path.write_text(recorder.text())
    output = invoke(path)[1]
    assert "GET /[bold]x[/]" in output
    assert "[red]y" in output


def test_what_is_too_much_for_a_terminal_is_cut(tmp_path: Path) -> None:
    """Routes, parts and steps."""
    recorder = Recorder()
    for number in range(22):
        recorder.request(f"/{number}", [(f"part {at}", at / 50, (at + 1) / 50) for at in range(40)], 1.0)
    path = tmp_path / "traces.json"
    path.write_text(recorder.text())
    output = invoke(path)[1]
    assert "2 more routes take less time" in output
    assert "29 others" in output
    assert "10 more" in output
