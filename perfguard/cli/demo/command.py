"""What `perfguard demo` does."""

from __future__ import annotations

from perfguard.cli.demo.display import DemoDisplay, print_demo
from perfguard.cli.demo.run import run_demo
from perfguard.cli.demo.scenario import Scenario
from perfguard.cli.demo.server import choose_port
from perfguard.cli.outputs import Outputs
from perfguard.cli.pages.demo_page import demo_page


def execute_demo(scenario: Scenario, outputs: Outputs, *, port: int) -> bool:
    """Run the demonstration, report it, and say whether the guard helped.

    Args:
        scenario: What to run.
        outputs: Where the figures and the page go.
        port: For the service; 0 takes one that is free.

    Raises:
        ConfigurationError: The port is taken.
        ServerError: The service did not start.
    """
    free = choose_port(port)
    console = outputs.console()
    with DemoDisplay(console, scenario.runs) as display:
        result = run_demo(scenario, display, port=free)
    print_demo(console, result)
    outputs.write_json(result.as_dict())
    outputs.write_html(demo_page(result))
    if outputs.html is not None:
        console.print(f"\nThe page: {outputs.html.resolve()}", soft_wrap=True)
    return result.helped
