"""Makes the virtual environment from the lock file, with nothing but the standard library.

Usage: python tools/bootstrap.py VENV LOCK
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import venv
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

MINIMUM = (3, 11)
ROOT = Path(__file__).resolve().parent.parent


def main(target: str, lock: str) -> None:
    """Create the environment at `target` and install exactly what `lock` names, then this project."""
    if sys.version_info < MINIMUM:
        sys.exit(f"perfguard needs Python 3.11 or newer, this is {sys.version.split()[0]}; try: make PYTHON=python3.12")
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    python = Path(target) / "bin" / "python"
    if not _has_pip(python):
        venv.create(target, clear=True, with_pip=has_ensurepip, symlinks=True)
    if _has_pip(python):
        _install(python, ["-m", "pip"], lock=lock)
    else:
        with tempfile.TemporaryDirectory() as folder:
            wheel = _download_pip(Path(lock), Path(folder))
            _install(python, [f"{wheel}/pip"], lock=lock)


def _has_pip(python: Path) -> bool:
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0


def _install(python: Path, pip: list[str], *, lock: str) -> None:
    """Install the lock (wheels only: no compiler is assumed), then the project, built by the locked hatchling.

    `--no-deps`: the lock is complete. Left to resolve, older pips look for a newer release of a package that is named
    with an extra (`coverage[toml]`) and then refuse it, because only the plain name is pinned; so a release made after
    the lock would break every new machine.
    """
    install = [str(python), *pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*install, "--only-binary=:all:", "--require-hashes", "--requirement", lock])
    own_pip = [str(python), "-m", "pip", *install[len(pip) + 1 :]]
    _run([*own_pip, "--no-build-isolation", "--editable", str(ROOT)])
    _run([str(python), "-m", "pip", "check"])


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"bootstrap: this command failed: {' '.join(command)}")


def _download_pip(lock: Path, folder: Path) -> Path:
    """Fetch the locked pip, for Debian's Python without python3-venv, and check its hash."""
    version, hashes = _locked_pip(lock.read_text())
    name = f"pip-{version}-py3-none-any.whl"
    try:
        content = _fetch(_find_link(name))
    except OSError as error:
        sys.exit(f"bootstrap: no ensurepip, and pip cannot be fetched ({error}); try: apt-get install python3-venv")
    if hashlib.sha256(content).hexdigest() not in hashes:
        sys.exit(f"bootstrap: {name} does not have a hash that {lock} allows")
    wheel = folder / name
    wheel.write_bytes(content)
    return wheel


def _locked_pip(lock: str) -> tuple[str, set[str]]:
    entry = re.search(r"^pip==(\S+)((?:\s*\\\n\s*--hash=sha256:[0-9a-f]{64})+)", lock, re.MULTILINE)
    if entry is None:
        sys.exit("bootstrap: the lock file does not pin pip")
    return entry[1], set(re.findall(r"[0-9a-f]{64}", entry[2]))


def _find_link(name: str) -> str:
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    links = _Links()
    links.feed(_fetch(index).decode())
    for link in links.found:
        address = urldefrag(urljoin(index, link)).url
        if address.endswith("/" + name):
            return address
    raise FileNotFoundError(f"{name} is not on {index}")


def _fetch(url: str) -> bytes:
    # Any scheme will do: what comes is held to the hash in the lock.
    request = urllib.request.Request(url, headers={"Accept": "text/html, */*"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        content: bytes = response.read()
    return content


class _Links(HTMLParser):
    """Collects the addresses a package index page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


if __name__ == "__main__":
    main(*sys.argv[1:])
