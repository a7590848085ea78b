"""The machine that figures were taken on, and how its cores are shared out."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from perfguard.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a reader needs in order to compare figures.

    Args:
        processor: Its name.
        cores: How many may be used.
        system: The operating system.
        python: The interpreter's version.
        server: The server's version.
        framework: The framework's version.
    """

    processor: str
    cores: int
    system: str
    python: str
    server: str
    framework: str

    @classmethod
    def here(cls) -> Machine:
        """The machine that this runs on."""
        return cls(
            processor=_processor(),
            cores=len(usable_cores()),
            system=f"{platform.system()} {platform.release()}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
            server=f"uvicorn {version('uvicorn')}",
            framework=f"FastAPI {version('fastapi')}",
        )

    def __str__(self) -> str:
        cores = f"{self.cores} core{'s' if self.cores != 1 else ''}"
        return f"{self.processor}, {cores}, {self.system}, {self.python}, {self.server}, {self.framework}"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Which core serves and which one loads; none of both where there is only one."""

    server: int | None = None
    generator: int | None = None

    def __str__(self) -> str:
        if self.server is None:
            return "server and load generator share the cores of the machine"
        return f"the server is pinned to core {self.server}, the load generator to core {self.generator}"

    @classmethod
    def share_out(cls) -> Cores:
        """The first core serves, the second one loads."""
        cores = sorted(usable_cores())
        if len(cores) < 2 or not hasattr(os, "sched_setaffinity"):
            return cls()
        return cls(server=cores[0], generator=cores[1])


@contextmanager
def kept_off(core: int | None) -> Iterator[None]:
    """Keep this process, which only shows what happens, off the server's core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def usable_cores() -> set[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def parse_core(text: str) -> int | None:
    """The core that a text names; none for an empty one.

    Raises:
        ConfigurationError: This process may not use such a core.
    """
    if not text:
        return None
    if text not in {str(core) for core in usable_cores()}:
        cores = ", ".join(str(core) for core in sorted(usable_cores()))
        raise ConfigurationError("cpu", text, f"must be a core that this process may use ({cores})")
    return int(text)


def _processor() -> str:
    """Linux does not tell `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
