"""The document of failure modes: it lists them all, and the tests that it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "failure-modes.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in DOCUMENT.splitlines() if line.startswith("| F")]


def test_every_failure_mode_has_a_row() -> None:
    """F1 to F24, in order."""
    assert [row[0] for row in ROWS] == [f"| F{number}" for number in range(1, 25)]


def test_every_row_names_a_test_or_says_that_it_is_no_goal() -> None:
    """A failure mode is shown, or left aside with a reason."""
    assert [row[0] for row in ROWS if "::test_" not in row[3] and not row[2].startswith("no goal: ")] == []


def test_the_tests_that_are_named_exist() -> None:
    """Each is a function of the file that is named with it."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", DOCUMENT)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert named
    assert missing == []
