"""What `perfguard load` and `perfguard capacity` do with their plan."""

from __future__ import annotations

from perfguard.cli.live import watching
from perfguard.cli.load import CapacityPlan, LoadPlan, Target, run_apart
from perfguard.cli.load.route import is_open, resolve
from perfguard.cli.load_report import print_capacity, print_load
from perfguard.cli.machine import usable_cores
from perfguard.cli.outputs import Outputs
from perfguard.cli.pages.load_page import load_page
from perfguard.errors import ConfigurationError


def execute_load(plan: LoadPlan, outputs: Outputs, *, cpu: int | None) -> None:
    """Run a load in a process of its own, and report it.

    Raises:
        ConfigurationError: Nothing listens there, the host may not be loaded, or there is no such core.
    """
    _check(plan, cpu)
    console = outputs.console()
    target = plan.targets[0]
    title = f"{plan.expected / plan.duration:,.0f} requests per second to [bold]{target.url}[/]"
    with watching(console, title) as on_progress:
        result = run_apart(plan, on_progress, cpu=cpu)
    print_load(console, result)
    outputs.write_json(result.as_dict())
    outputs.write_html(load_page(result))


def execute_capacity(plan: CapacityPlan, outputs: Outputs, *, cpu: int | None) -> None:
    """Measure a capacity from a process of its own, and report it.

    Raises:
        ConfigurationError: Nothing listens there, the host may not be loaded, or there is no such core.
    """
    _check(plan, cpu)
    console = outputs.console()
    with watching(console, f"{plan.users} users on [bold]{plan.targets[0].url}[/]") as on_progress:
        result = run_apart(plan, on_progress, cpu=cpu)
    print_capacity(console, result)
    outputs.write_json(result.as_dict())


def _check(plan: LoadPlan | CapacityPlan, cpu: int | None) -> None:
    for target in plan.targets:
        _check_target(target, plan)
    if cpu is not None and cpu not in usable_cores():
        raise ConfigurationError("cpu", cpu, f"must be one of {sorted(usable_cores())}")


def _check_target(target: Target, plan: LoadPlan | CapacityPlan) -> None:
    route = resolve(target, plan.connections, allow_remote=plan.allow_remote)
    if not is_open(route.address):
        raise ConfigurationError("url", target.url, "must be where a server listens; nothing accepts connections there")
