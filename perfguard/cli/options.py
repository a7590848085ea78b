"""The options of the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perfguard.cli.load import Arrivals, Connections

Url = Annotated[str, typer.Argument(help="The address to load, such as http://127.0.0.1:8000/orders.")]
Rate = Annotated[float, typer.Option(help="Requests per second.")]
Duration = Annotated[str, typer.Option(help="How long: 30, 30s, 2m.")]
Deadline = Annotated[str, typer.Option(help="How long an answer is of use to its client: 1s, 250ms.")]
Timeout = Annotated[str, typer.Option(help="When the client leaves; a quarter after the deadline if not given.")]
Spread = Annotated[Arrivals, typer.Option("--arrivals", help="How arrivals are spread.")]
Transport = Annotated[Connections, typer.Option("--connections", help="Keep connections, or a new one each time.")]
MaxConnections = Annotated[int, typer.Option(help="Connections open at the same time.")]
Users = Annotated[int, typer.Option(help="Requests in flight, at all times.")]
Method = Annotated[str, typer.Option(help="GET, POST, PUT, PATCH, DELETE or OPTIONS.")]
Header = Annotated[list[str] | None, typer.Option(help="'Name: value'; may be given more than once.")]
Body = Annotated[str, typer.Option(help="The body of every request.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same arrivals.")]
Cpu = Annotated[int | None, typer.Option(help="Pin the generator to this core.")]
AllowRemote = Annotated[bool, typer.Option("--allow-remote", help="Allow a host other than this machine.")]
Json = Annotated[Path | None, typer.Option(help="Write the figures here; - is the standard output.")]
Html = Annotated[Path | None, typer.Option(help="Write a self-contained page here.")]
Quick = Annotated[bool, typer.Option("--quick", help="One level of load, for a few seconds.")]
Port = Annotated[int, typer.Option(help="For the service; by default one that is free.")]
