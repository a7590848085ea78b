"""What the report of the benchmarks says of figures: verdicts, limits and medians."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.costs import Cost
from tests.benchmarks.measure import Baseline
from tests.benchmarks.report import page
from tests.benchmarks.rows import Goal, Row, middle

ROW = Row(
    service="CPU",
    load="4x",
    side="perfguard",
    share=0.9,
    answered=0.996,
    p50=0.01,
    p99=0.05,
    refused=0.7,
    refused_p99=0.02,
    goal=Goal(share=0.9, answered=0.995),
)


def test_row_that_reaches_its_goals_is_met() -> None:
    """Every goal is looked at, and an equal figure is enough."""
    assert ROW.verdict == "met"


@pytest.mark.parametrize(
    ("goal", "missed"),
    [
        (Goal(share=0.95), "goodput"),
        (Goal(answered=0.999), "answered"),
        (Goal(p99=0.04), "p99"),
        (Goal(nothing_refused=True), "refusals"),
    ],
    ids=["goodput", "answered", "p99", "refusals"],
)
def test_verdict_names_the_goal_that_was_missed(goal: Goal, missed: str) -> None:
    """A reader, or a script, sees which figure fell short."""
    assert replace(ROW, goal=goal).verdict == f"NOT MET: {missed}"


def test_goal_beyond_the_limit_asks_for_nearly_the_limit() -> None:
    """Where 92 % are possible and 96 % are wanted, 97 % of the 92 are asked for."""
    row = replace(ROW, goal=Goal(share=0.96), limit=0.92)

    assert row.wanted == pytest.approx(0.97 * 0.92)
    assert row.met


def test_goal_may_be_a_share_of_the_limit() -> None:
    """Where 80 % are possible and 92 % of that are wanted, 73.6 % are enough."""
    row = replace(ROW, goal=Goal(of_limit=0.92), limit=0.8, share=0.74)

    assert row.wanted == pytest.approx(0.736)
    assert row.met


def test_row_without_goals_has_no_verdict() -> None:
    """What is only compared with is neither met nor missed."""
    assert not replace(ROW, goal=None).verdict


def test_median_goodput_stands_for_the_repeats() -> None:
    """Of an even number, the lower one."""
    rows = [replace(ROW, share=share) for share in (0.9, 0.5, 0.7, 0.8)]

    assert middle(rows).share == 0.7


def test_one_refusal_in_any_repeat_counts_where_none_may_be() -> None:
    """A median would hide it."""
    rows = [replace(ROW, goal=Goal(nothing_refused=True), refused=refused) for refused in (0.0, 0.001, 0.0)]

    assert middle(rows).refused == 0.001


def test_limit_is_what_is_left_of_the_processor_after_the_refusals() -> None:
    """At 2,000 offered, 250 us a refusal and 2 ms a service, 286 per second can be served: 57 % of the peak."""
    base = Baseline(peak=500.0, service_cost=0.002)

    assert base.limit(4.0, 0.00025) == pytest.approx(0.5 / 0.00175 / 500.0)
    assert base.limit(20.0, 0.00025) == 0.0


def test_page_holds_every_row_cost_and_doubt() -> None:
    """What was measured is in the report, with what makes it doubtful."""
    text = page(
        [replace(ROW, doubt="The generator was late.")], [Cost(name="import", value=0.05, goal=0.04)], ["a note"]
    )

    assert "| CPU | 4x | perfguard | 90.0% |" in text
    assert "met (doubtful)" in text
    assert "- The generator was late." in text
    assert "| import | 50000.0 us | 40000 us | NOT MET |" in text
    assert "- a note" in text
