"""What is shipped: the wheel's contents, its metadata, and the cost of importing it."""

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from build import ProjectBuilder
from pyproject_hooks import quiet_subprocess_runner

import perfguard

ROOT = Path(__file__).resolve().parent.parent
INTEGRATIONS = sorted(path.parent.name for path in ROOT.glob("integrations/*/__init__.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree by the locked build backend."""
    builder = ProjectBuilder(ROOT, runner=quiet_subprocess_runner)
    return Path(builder.build("wheel", tmp_path_factory.mktemp("dist")))


def test_wheel_ships_the_library_and_every_integration(wheel: Path) -> None:
    """The wheel's top-level names are perfguard and the folders in integrations/, and nothing else."""
    top_level = {name.partition("/")[0] for name in _names(wheel)}
    packages = {name for name in top_level if not name.endswith(".dist-info")}

    assert packages == {"perfguard", *INTEGRATIONS}


def test_every_package_is_typed(wheel: Path) -> None:
    """Every top-level package carries the marker of PEP 561."""
    markers = {name for name in _names(wheel) if name.endswith("py.typed")}

    assert markers == {f"{package}/py.typed" for package in ("perfguard", *INTEGRATIONS)}


def test_version_is_the_same_in_the_metadata_and_in_the_package(wheel: Path) -> None:
    """The version is written once."""
    assert _metadata(wheel)["Version"] == perfguard.__version__


def test_every_integration_is_an_extra_of_its_name(wheel: Path) -> None:
    """`perfguard_fastapi` comes with `perfguard[fastapi]`, and so on."""
    extras = set(_metadata(wheel).get_all("Provides-Extra", []))

    assert {name.removeprefix("perfguard_") for name in INTEGRATIONS} | {"all", "cli", "dev", "otel"} <= extras


@pytest.mark.parametrize("module", ["asyncio", "opentelemetry", "tenacity", "aiodataloader", "asgiref"])
def test_import_leaves_costly_modules_alone(module: str) -> None:
    """`import perfguard` loads neither asyncio nor any dependency."""
    program = f"import sys, perfguard; sys.exit({module!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_lock_names_no_index() -> None:
    """The lock pins versions and hashes, and leaves it to pip's configuration where they come from."""
    lock = (ROOT / "requirements.lock").read_text()

    assert "://" not in lock
    assert "--index-url" not in lock


def _names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())
