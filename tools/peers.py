"""Fetches the Debian packages of the servers that slow tests run, and unpacks them without installing them.

Usage: python tools/peers.py FOLDER
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

APT = "/usr/bin/apt-get"
DPKG = "/usr/bin/dpkg"
PACKAGES = {
    "libfaketime": "usr/lib/*/faketime/libfaketime.so.1",
    "nginx": "usr/sbin/nginx",
    "prometheus": "usr/bin/prometheus",
}


def main() -> None:
    """Fetch what is missing into the folder that is the only argument."""
    folder = Path(sys.argv[1])
    missing = [name for name, file in PACKAGES.items() if not (shutil.which(name) or any(folder.glob(file)))]
    if missing and not Path(APT).exists():
        raise SystemExit(f"Without apt-get, install {' and '.join(missing)} and put them on PATH.")
    with tempfile.TemporaryDirectory() as downloads:
        for name in missing:
            fetch(name, Path(downloads))
            unpack(name, Path(downloads), folder)


def fetch(name: str, downloads: Path) -> None:
    """Download a package; where apt's lists are too old or empty, and this is root, bring them up to date."""
    command = [APT, "-qq", "download", name]
    if subprocess.run(command, cwd=downloads, check=False, capture_output=True).returncode == 0:
        return
    if os.geteuid() == 0:
        subprocess.run([APT, "-qq", "update"], check=True)
    subprocess.run(command, cwd=downloads, check=True)


def unpack(name: str, downloads: Path, folder: Path) -> None:
    """Unpack a package that was downloaded."""
    archive = next(downloads.glob(f"{name}_*.deb"))
    subprocess.run([DPKG, "--extract", archive, folder], check=True)
    print(f"{name}: {next(folder.glob(PACKAGES[name]))}")


if __name__ == "__main__":
    main()
