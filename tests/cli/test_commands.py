"""The commands, as a user types them."""

from __future__ import annotations

import io
import json
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import perfguard
from perfguard.cli.commands import app
from perfguard.cli.demo.display import DemoDisplay
from perfguard.cli.demo.server import ServerError, ServerPlan, choose_port, running
from perfguard.cli.durations import format_duration, name_duration, parse_duration
from perfguard.cli.live import LoadDisplay, watching
from perfguard.cli.load import CapacityPlan, Progress, Target
from perfguard.cli.machine import Cores, Machine, kept_off
from perfguard.cli.pages.svg import Axis, Scale, Series, bar_chart, line_chart
from perfguard.errors import ConfigurationError


class Page(HTMLParser):
    """What a page fetches, and which elements it leaves open."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what opens."""
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br", "link", "img", "hr", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens and closes at once."""

    def handle_endtag(self, tag: str) -> None:
        """Note what closes."""
        assert self.open.pop() == tag


def assert_self_contained(path: Path) -> None:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    assert page.fetched == []


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.output


def test_load_reports_figures_a_page_and_json(base: str, tmp_path: Path) -> None:
    page, figures = tmp_path / "load.html", tmp_path / "load.json"
    code, output = invoke(
        "load",
        f"{base}/ok",
        "--rate",
        100,
        "--duration",
        "1s",
        "--deadline",
        "500ms",
        "--timeout",
        "1s",
        "--header",
        "X-A: b",
        "--html",
        page,
        "--json",
        figures,
        "--cpu",
        0,
    )
    assert code == 0, output
    assert "good" in output
    assert json.loads(figures.read_text())["total"]
    assert_self_contained(page)


def test_load_writes_json_alone_to_the_standard_output(base: str) -> None:
    result = CliRunner().invoke(app, ["load", f"{base}/ok", "--duration", "300ms", "--json", "-"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)


@pytest.mark.parametrize(("path", "reason"), [("/missing", "x status 404"), ("/refused", "x status 503")])
@pytest.mark.parametrize("command", ["load", "capacity"])
def test_a_run_without_one_success_is_reported_and_exits_with_1(
    base: str, path: str, reason: str, command: str, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    code, output = invoke(command, base + path, "--duration", "300ms", "--json", figures)
    assert code == 1
    assert "Error: no request succeeded: " in output
    assert reason in output
    assert "closed-loop users" not in output
    assert json.loads(figures.read_text())


def test_a_run_in_which_no_request_was_due_is_no_success(base: str) -> None:
    code, output = invoke("load", f"{base}/ok", "--rate", "0.001", "--duration", "10ms")
    assert code == 1
    assert "no request was due; raise --rate or --duration" in output


def test_a_server_that_refuses_is_not_measured_but_said_to_refuse(base: str) -> None:
    code, output = invoke("capacity", f"{base}/refused", "--duration", "300ms")
    assert code == 1
    assert "Served, while the server refused more: 0 successes" in output
    assert "The server refused" in output
    assert "PERFGUARD_ENABLED=0" in output


def test_a_chosen_duration_is_said_as_a_person_would(base: str) -> None:
    code, output = invoke("load", f"{base}/ok", "--duration", "300ms", "--deadline", "1h")
    assert code == 0
    assert "within 1 h)" in output


def test_the_version_is_shown() -> None:
    assert invoke("--version") == (0, f"perfguard {perfguard.__version__}\n")


def test_without_a_command_the_help_is_shown() -> None:
    code, output = invoke()
    assert code == 0
    assert "capacity" in output


@pytest.mark.parametrize("command", ["load", "capacity", "demo"])
def test_the_help_speaks_of_values_and_not_of_types(command: str) -> None:
    code, output = invoke(command, "--help")
    assert code == 0
    assert not set("{}<>") & set(output)


def test_capacity_is_measured(base: str, tmp_path: Path) -> None:
    code, output = invoke("capacity", f"{base}/ok", "--duration", "300ms", "--json", tmp_path / "c.json")
    assert code == 0, output
    assert (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "-1"], "'--rate': must be a number above 0 and at most 5,000,000, got '-1'."),
        (["--rate", "0"], "'--rate': must be a number above 0 and at most 5,000,000, got '0'."),
        (["--rate", "abc"], "'--rate': must be a number above 0 and at most 5,000,000, got 'abc'."),
        (["--rate", "nan"], "'--rate': must be a number above 0 and at most 5,000,000, got 'nan'."),
        (["--rate", "5e6"], "'--rate' / '--duration': must make at most 5,000,000 requests together, got 5e+07."),
        (["--duration", "soon"], "'--duration': must be a duration above zero, such as 30, 1s, 250ms or 2m, got"),
        (["--duration", "-1s"], "'--duration': must be a duration above zero, such as 30, 1s, 250ms or 2m, got '-1s'"),
        (["--duration", "10h"], "'--duration': must be above 0 and at most 6 h, got '10h'."),
        (["--deadline", "2s", "--timeout", "1s"], "'--timeout': must be at least the deadline, 2 s, got '1s'."),
        (["--max-connections", "0"], "'--max-connections': must be a whole number from 1 to 60,000, got '0'."),
        (["--seed", "x"], "'--seed': must be a whole number from 0 to"),
        (["--arrivals", "x"], "'--arrivals': must be poisson or constant, got 'x'."),
        (["--connections", "x"], "'--connections': must be keep-alive or new, got 'x'."),
        (["--method", "brew"], "'--method': must be one of GET, POST, PUT, PATCH, DELETE, OPTIONS, got 'brew'."),
        (["--header", "nonsense"], "'--header': must look like 'Name: value', got 'nonsense'."),
        (["--cpu", "9999"], "'--cpu': must be a core that this process may use (0"),
        (["--json", "/"], "'--json': must be a file, not a folder, got '/'."),
        (["--html", "/no/such/folder/x.html"], "'--html': must be in a folder that exists, got '/no/such"),
    ],
)
def test_a_wrong_option_is_a_sentence_and_exit_2(base: str, arguments: list[str], message: str) -> None:
    code, output = invoke("load", f"{base}/ok", *arguments)
    assert code == 2
    assert message in output


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://192.0.2.1/", "'URL': must be on this machine (loopback); another host, if you may load it, needs"),
        ("http://no.such.host.invalid/", "; another host, if you may load it, needs --allow-remote, got"),
        ("http://127.0.0.1:1/", "Error: http://127.0.0.1:1/: connection refused; is the server running?"),
        ("http://127.0.0.1:99999/", "'URL': must have a port from 1 to 65535, got 'http://127.0.0.1:99999/'."),
        ("http://127.0.0.1:http/", "'URL': must have a port from 1 to 65535, got"),
        ("https://127.0.0.1/", "'URL': must begin with http://; https is not supported, got"),
        ("http://[::1/", "'URL': must look like http://127.0.0.1:8000/path, got"),
    ],
)
def test_a_host_that_may_not_be_loaded_is_refused(url: str, message: str) -> None:
    code, output = invoke("load", url)
    assert code == 2
    assert message in output


def test_the_demonstration_shows_that_the_guard_helps(tmp_path: Path) -> None:
    page, figures = tmp_path / "demo.html", tmp_path / "demo.json"
    code, output = invoke("demo", "--quick", "--html", page, "--json", figures)
    assert code in (0, 1), output
    result = json.loads(figures.read_text())
    assert result["helped"] is (code == 0)
    assert [run["guarded"] for run in result["runs"]] == [False, True]
    assert "unanswered" in output
    assert_self_contained(page)


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code, output = invoke("demo", "--port", server.getsockname()[1])
    assert code == 2
    assert "port" in output


def test_a_service_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    plan = ServerPlan(app="no.such.module:app", port=choose_port(0), database=tmp_path / "x.db", cpu=None)
    with pytest.raises(ServerError), running(plan):
        pytest.fail("started")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30.0), ("1s", 1.0), ("250ms", 0.25), ("2m", 120.0), (".5 h", 1800.0), ("5us", 5e-6)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "-1s", "1 year", "1" * 40])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="duration must be"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "-"),
        (5e-6, "5 us"),
        (0.0123, "12.3 ms"),
        (0.25, "250 ms"),
        (1.5, "1.50 s"),
        (12.34, "12.3 s"),
        (120.0, "2 min"),
    ],
)
def test_a_duration_is_written_to_three_digits(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250 ms"), (1.0, "1 s"), (2.5, "2.5 s"), (90.0, "1 min 30 s"), (3600.0, "1 h"), (5400.0, "1 h 30 min")],
)
def test_a_chosen_duration_is_named(seconds: float, text: str) -> None:
    assert name_duration(seconds) == text


def progress(elapsed: float, good: int) -> Progress:
    return Progress(elapsed=elapsed, duration=2.0, sent=10, in_flight=1, open=1, counts={"good": good})


def test_a_run_is_shown_while_it_runs_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with watching(console, "title") as update:
        update(progress(0.5, 5))
        update(progress(1.0, 9))
    assert isinstance(console.file, io.StringIO)
    assert "title" in console.file.getvalue()


def test_a_run_is_not_drawn_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO())
    with watching(console, "title") as update:
        update(progress(0.5, 5))
    display = LoadDisplay("title")
    console.print(display)
    display.update(Progress(elapsed=0.0, duration=1.0, sent=0, in_flight=0, open=0, counts={}))
    console.print(display)
    assert isinstance(console.file, io.StringIO)
    assert "no answers yet" in console.file.getvalue()


def test_the_demonstration_is_shown_while_it_runs_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with DemoDisplay(console, 8) as display:
        display.begin("Measuring")
        display.progress(progress(0.5, 5))
    assert isinstance(console.file, io.StringIO)
    assert "Measuring" in console.file.getvalue()


def test_cores_are_kept_apart_and_given_back() -> None:
    cores = Cores.share_out()
    with kept_off(cores.server), kept_off(None):
        pass
    assert str(Machine.here())
    assert Machine.here().as_dict()["cores"]


def test_a_chart_names_its_reference() -> None:
    axis = Axis(title="x", scale=Scale.covering([1.0]))
    series = Series(name="a", style="good", values=((0.0, 1.0), (1.0, 0.5)))
    assert "limit" in line_chart(axis, axis, [series], reference=("limit", 0.5))


def test_a_chart_marks_what_is_not_counted_and_writes_numbers_without_exponents() -> None:
    axis = Axis(title="x", scale=Scale.covering([2000.0]))
    series = Series(name="a", style="good", values=((0.0, 1178.4), (1.0, 75.63)))
    assert "not counted" in line_chart(axis, axis, [series], shaded=("not counted", 500.0))
    chart = bar_chart(("a", "b"), axis, [series])
    assert "1,178<" in chart
    assert "75.6<" in chart


def test_an_empty_plan_has_equal_weights() -> None:
    targets = (Target(url="http://127.0.0.1/"),) * 2
    assert CapacityPlan(targets=targets).shares == (1.0, 1.0)
