"""An integration without its library says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perfguard.extras import needed

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
try:
    import {package}
except ModuleNotFoundError as error:
    print(error.name.partition(".")[0], error)
"""


@pytest.mark.parametrize(
    ("package", "missing", "message"),
    [
        ("perfguard_fastapi", ["fastapi"], "fastapi perfguard_fastapi needs 'fastapi'. Install it with: "),
        ("perfguard_fastapi", ["fastapi", "starlette"], "fastapi perfguard_fastapi needs 'fastapi'. Install it with: "),
        ("perfguard_flask", ["flask"], "flask perfguard_flask needs 'flask'. Install it with: "),
        ("perfguard_starlette", ["starlette"], "starlette perfguard_starlette needs 'starlette'. Install it with: "),
    ],
    ids=["fastapi", "both", "flask", "starlette"],
)
def test_an_integration_alone_says_what_to_install(package: str, missing: list[str], message: str) -> None:
    """As the command line does."""
    script = WITHOUT.format(package=package, missing=missing)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    extra = package.removeprefix("perfguard_")
    assert done.stdout.startswith(message)
    assert done.stdout.strip().endswith(f"pip install 'perfguard[{extra}]'")


def test_another_missing_module_is_no_extra() -> None:
    """The application's own mistake is its own."""
    error = ModuleNotFoundError("No module named 'shop'", name="shop")

    assert needed("perfguard_fastapi", frozenset({"fastapi"}), "fastapi", error) is error
