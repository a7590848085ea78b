"""The documents: their Python runs, their links lead somewhere, their tables say what the code says."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import perfguard.asgi
import perfguard.limits
import perfguard.wsgi
import perfguard_django.options
import perfguard_starlette
from perfguard_flask import settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
_SECTION = re.compile(r"^### `([\w ]+)`\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


def _blocks() -> Iterator[Any]:
    for document in DOCUMENTS:
        text = document.read_text()
        for match in _PYTHON.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            # The empty lines give errors the document's line numbers.
            yield pytest.param(document, "\n" * line + match[1], id=f"{document.name}:{line}")


@pytest.mark.parametrize(("document", "code"), list(_blocks()))
def test_python_in_the_documents_runs(document: Path, code: str) -> None:
    """Each block stands for itself."""
    exec(compile(code, str(document), "exec"), {"__name__": "document"})  # noqa: S102 - our own text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file of the repository."""
    links = [document.parent / link for link in _LINK.findall(document.read_text())]

    assert [link for link in links if not link.exists()] == []


def _described() -> dict[str, str]:
    return dict(_SECTION.findall((ROOT / "docs" / "configuration.md").read_text()))


_CLASSES: dict[str, Any] = {
    "Guard": perfguard.Guard,
    "GuardMiddleware": perfguard.asgi.GuardMiddleware,
    "Limiter": perfguard.Limiter,
    "KeyedLimiter": perfguard.KeyedLimiter,
    "AdmissionQueue": perfguard.AdmissionQueue,
    "LittlesLawLimit": perfguard.limits.LittlesLawLimit,
    "FixedLimit": perfguard.limits.FixedLimit,
    "AIMDLimit": perfguard.limits.AIMDLimit,
    "VegasLimit": perfguard.limits.VegasLimit,
    "Gradient2Limit": perfguard.limits.Gradient2Limit,
}


def test_every_class_has_a_section() -> None:
    """Whatever takes arguments is described."""
    assert _described().keys() >= _CLASSES.keys()


@pytest.mark.parametrize("name", list(_CLASSES))
def test_described_arguments_are_those_of_the_code(name: str) -> None:
    """Names, order and defaults; a default that is no literal is described in words."""
    parameters = inspect.signature(_CLASSES[name]).parameters.values()
    rows = _ROW.findall(_described()[name])

    assert [row for row, _ in rows] == [each.name for each in parameters]
    for parameter, (_, default) in zip(parameters, rows, strict=True):
        if default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == parameter.default


def test_the_arguments_of_both_protocols_are_the_same() -> None:
    """One table describes them."""
    asgi, wsgi = (inspect.signature(each.GuardMiddleware).parameters for each in (perfguard.asgi, perfguard.wsgi))

    assert list(asgi) == list(wsgi)
    assert [each.default for each in asgi.values()] == [each.default for each in wsgi.values()]


def test_own_arguments_of_the_starlette_middleware_are_described() -> None:
    """Beside those that it passes on."""
    own = set(inspect.signature(perfguard_starlette.GuardMiddleware).parameters) - {"app", "guard", "options"}

    assert own == {"max_keys"}
    assert "`max_keys`" in _described()["perfguard_starlette"]


def test_settings_of_flask_are_described() -> None:
    """Names in both places, order and defaults."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \|", _described()["perfguard_flask"], re.MULTILINE)
    defaults = settings.read({}, {})

    assert [name for name, _, _ in rows] == list(settings.Options.__annotations__)
    for name, configured, default in rows:
        assert configured == settings.PREFIX + name.upper()
        if default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == defaults[name].value


def test_settings_of_django_are_described() -> None:
    """Names, order and defaults."""
    rows = _ROW.findall(_described()["perfguard_django"])

    assert [name for name, _ in rows] == list(perfguard_django.options.DEFAULTS)
    for name, default in rows:
        if default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == perfguard_django.options.DEFAULTS[name]


def _layers(lines: list[str]) -> list[set[str]]:
    """The modules of each layer; those in brackets are yet to come."""
    return [set(re.findall(r"(?<!\()\b[a-z_]+\b", line)) for line in lines]


def test_the_layers_of_the_contributing_guide_are_those_that_the_linter_holds() -> None:
    """Every module has its place, in the same order; above them stand the integrations."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    held = next(each["layers"] for each in linter["contracts"] if each.get("containers") == ["perfguard"])
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    rows = guide.partition("## The layers")[2].split("```")[1].strip().splitlines()

    assert _layers([row.partition("  ")[0] for row in rows[1:]]) == _layers(held)
