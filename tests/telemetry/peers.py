"""The real servers that `make peers` fetches, for slow tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.servers import ROOT

_PEERS = ROOT / ".peers"
_UNPACKED = {
    "libfaketime": "usr/lib/*/faketime/libfaketime.so.1",
    "nginx": "usr/sbin/nginx",
    "prometheus": "usr/bin/prometheus",
}


def peer(name: str) -> str:
    """The path of a program or library of another project; the test is skipped where it is missing."""
    unpacked = next(_PEERS.glob(_UNPACKED[name]), None)
    found = str(unpacked) if unpacked else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is neither in .peers nor on PATH: run `make peers`")
    return found


def folder_for(name: str, tmp_path: Path) -> Path:
    """A new folder of that name."""
    folder = tmp_path / name
    folder.mkdir()
    return folder
