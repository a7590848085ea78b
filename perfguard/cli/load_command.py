"""What `perfguard load` and `perfguard capacity` do with their plan."""

from __future__ import annotations

from perfguard.cli.failures import NothingSucceededError
from perfguard.cli.live import watching
from perfguard.cli.load import CapacityPlan, LoadPlan, Summary, run_apart
from perfguard.cli.load.route import check_reachable, resolve
from perfguard.cli.load_report import print_capacity, print_load
from perfguard.cli.outputs import Outputs
from perfguard.cli.pages.load_page import load_page


def execute_load(plan: LoadPlan, outputs: Outputs, *, cpu: int | None) -> None:
    """Run a load in a process of its own, and report it.

    Raises:
        ConfigurationError: The host may not be loaded.
        UnreachableError: Nothing listens there.
        NothingSucceededError: No answer was a success; all is reported nevertheless.
    """
    _check(plan)
    console = outputs.console()
    target = plan.targets[0]
    title = f"{plan.expected / plan.duration:,.6g} requests per second to [bold]{target.url}[/]"
    with watching(console, title) as on_progress:
        result = run_apart(plan, on_progress, cpu=cpu)
    print_load(console, result)
    outputs.write_json(result.as_dict())
    outputs.write_html(load_page(result))
    _require_success(result.total.summary)


def execute_capacity(plan: CapacityPlan, outputs: Outputs, *, cpu: int | None) -> None:
    """Measure a capacity from a process of its own, and report it.

    Raises:
        ConfigurationError: The host may not be loaded.
        UnreachableError: Nothing listens there.
        NothingSucceededError: No answer was a success; all is reported nevertheless.
    """
    _check(plan)
    console = outputs.console()
    with watching(console, f"{plan.users} users on [bold]{plan.targets[0].url}[/]") as on_progress:
        result = run_apart(plan, on_progress, cpu=cpu)
    print_capacity(console, result)
    outputs.write_json(result.as_dict())
    _require_success(result.summary)


def _check(plan: LoadPlan | CapacityPlan) -> None:
    for target in plan.targets:
        check_reachable(target, resolve(target, plan.connections, allow_remote=plan.allow_remote))


def _require_success(summary: Summary) -> None:
    if summary.latency.count:
        return
    if not summary.offered:
        raise NothingSucceededError("no request was due; raise --rate or --duration")
    raise NothingSucceededError(f"no request succeeded: {', '.join(summary.failures())}")
