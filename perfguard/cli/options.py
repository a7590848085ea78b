"""The options of the commands.

All are taken as text and read by ourselves, so that an error shows what was typed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_UNITS = "Units: us, ms, s, m, h; without one, seconds."

Url = Annotated[
    # The description of a command says what it is: Typer's list of arguments would add the type `<str>`.
    str, typer.Argument(metavar="URL", show_default=False, hidden=True)
]
Rate = Annotated[str, typer.Option(metavar="NUMBER", help="Requests per second, above 0.")]
Duration = Annotated[str, typer.Option(metavar="DURATION", help=f"How long: 30s, 2m. {_UNITS}")]
Deadline = Annotated[
    str, typer.Option(metavar="DURATION", help="How long an answer is of use to its client: 250ms, 1s, 2m.")
]
Timeout = Annotated[
    str,
    typer.Option(metavar="DURATION", show_default="1.25 x deadline", help="When the client gives up and leaves."),
]
Spread = Annotated[
    str,
    typer.Option(
        "--arrivals",
        metavar="poisson|constant",
        help="How arrivals are spread: like independent clients, or at equal gaps.",
    ),
]
Transport = Annotated[
    str,
    typer.Option("--connections", metavar="keep-alive|new", help="Reuse connections, or open one for each request."),
]
MaxConnections = Annotated[str, typer.Option(metavar="NUMBER", help="The most connections open at the same time.")]
Users = Annotated[str, typer.Option(metavar="NUMBER", help="How many clients, each of which awaits its answer.")]
Method = Annotated[str, typer.Option(metavar="METHOD", help="GET, POST, PUT, PATCH, DELETE or OPTIONS.")]
Header = Annotated[
    list[str] | None,
    typer.Option(metavar="'NAME: VALUE'", show_default=False, help="A header; may be given more than once."),
]
Body = Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="The body of every request.")]
Seed = Annotated[str, typer.Option(metavar="NUMBER", help="The same seed makes the same arrivals.")]
Cpu = Annotated[
    str, typer.Option(metavar="CORE", show_default=False, help="Pin the generator to this core, counted from 0.")
]
AllowRemote = Annotated[bool, typer.Option("--allow-remote", help="Allow a host other than this machine.")]
Json = Annotated[
    Path | None,
    typer.Option(metavar="FILE", show_default=False, help="Write the figures here; - is the standard output."),
]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", show_default=False, help="Write a self-contained page here.")
]
PageFile = Annotated[Path, typer.Option("--html", metavar="FILE", help="Write a self-contained page here.")]
TraceFile = Annotated[str, typer.Argument(metavar="FILE", show_default=False, hidden=True)]
Independent = Annotated[
    str,
    typer.Option(
        metavar="same-label|siblings",
        help="Which spans that ran one after the other need nothing from one another: those of one label, or all.",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Only 4 times the capacity, for a few seconds.")]
Port = Annotated[str, typer.Option(metavar="NUMBER", show_default="a free one", help="The port of the service.")]
Version = Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)]
