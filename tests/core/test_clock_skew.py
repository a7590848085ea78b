"""How far another host's clock runs ahead, from lists of stamps and instants."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from perfguard.stats.skew import ClockSkew, ClockSkews

TOLERANCE = 0.005
delays = st.lists(st.floats(0.0, 0.4), min_size=20, max_size=60)


def observed(differences: list[float], *, every: float = 1.0, start: float = 0.0) -> ClockSkew:
    """A skew that has seen these differences, one after the other."""
    skew = ClockSkew(TOLERANCE)
    for number, difference in enumerate(differences):
        skew.observe(difference, start + number * every)
    return skew


def test_a_clock_that_is_steadily_ahead_is_corrected_by_the_least_difference() -> None:
    """Half a second ahead, and a delay of a millisecond or more."""
    skew = observed([0.001 * number - 0.5 for number in range(1, 21)])
    assert skew.observe(-0.4, 20.0) == skew.offset == 0.001 - 0.5


def test_a_few_stamps_prove_nothing() -> None:
    """Nine stamps from the future are too few, the tenth is enough."""
    skew = observed([-0.5] * 8)
    assert skew.observe(-0.5, 8.0) == 0.0
    assert skew.observe(-0.5, 9.0) == -0.5


def test_stamps_from_the_future_prove_nothing_where_as_many_are_from_the_past() -> None:
    """A client that gets its own stamps through cannot age the requests of others."""
    skew = observed([0.0, -50.0] * 30)
    assert skew.observe(0.0, 60.0) == 0.0


def test_a_clock_that_was_set_right_is_believed_after_seven_stamps() -> None:
    """Though the window still has what it was before."""
    skew = observed([-3.0] * 60)
    assert [skew.observe(0.001, 60.0 + at) for at in range(8)] == [-3.0] * 6 + [0.0] * 2


def test_a_delay_below_the_skew_is_measured_for_as_long_as_the_window_remembers() -> None:
    """Two seconds ahead, and then a queue of one and a half for four minutes."""
    skew = observed([-2.0] * 10)
    assert {-0.5 - skew.observe(-0.5, 10.0 + at) for at in range(240)} == {1.5}


def test_a_positive_minimum_is_never_subtracted() -> None:
    """It may be a delay that every request has."""
    skew = observed([0.2] * 50)
    assert skew.offset == 0.2
    assert skew.observe(0.3, 50.0) == 0.0


def test_what_is_within_the_tolerance_is_no_skew() -> None:
    """Milliseconds are lost where a proxy rounds."""
    assert observed([-0.004] * 50).observe(-0.004, 50.0) == 0.0


def test_what_was_seen_is_forgotten_after_five_minutes() -> None:
    """A clock that was set right is believed again."""
    skew = observed([-0.5] * 60)
    assert skew.observe(0.002, 310.0) == 0.0
    assert skew.offset == 0.002


def test_a_clock_of_this_host_that_is_set_back_begins_a_new_window() -> None:
    """What was measured by the old one says nothing."""
    skew = observed([-0.5] * 60, start=1000.0)
    assert skew.observe(0.1, 500.0) == 0.0
    assert skew.offset == 0.1


def test_nothing_seen_is_no_offset() -> None:
    """Nor does it make a number up."""
    assert ClockSkew(TOLERANCE).offset == inf


@given(delays, st.floats(0.5, 50.0))
def test_a_corrected_age_is_never_above_the_delay_nor_below_zero(delays: list[float], ahead: float) -> None:
    """Whatever the skew, as long as every stamp is the proxy's own."""
    skew = ClockSkew(TOLERANCE)
    for number, delay in enumerate(delays):
        correction = skew.observe(delay - ahead, float(number))
        age = delay - ahead - correction
        assert age <= delay + 1e-9
        assert number < 9 or age >= 0.0


@given(delays, st.floats(0.0, 50.0))
def test_a_clock_that_is_behind_is_never_corrected(delays: list[float], behind: float) -> None:
    """Whatever the delays."""
    skew = ClockSkew(TOLERANCE)
    assert {skew.observe(delay + behind, float(number)) for number, delay in enumerate(delays)} == {0.0}


@given(st.lists(st.tuples(st.floats(-60.0, 60.0), st.floats(-1e9, 1e9)), max_size=100))
def test_no_instants_at_all_break_it(stamps: list[tuple[float, float]]) -> None:
    """Nor do they make a correction that makes a request younger than it was stamped."""
    skew = ClockSkew(TOLERANCE)
    assert all(skew.observe(difference, now) <= 0.0 for difference, now in stamps)


def test_each_host_has_a_skew_of_its_own() -> None:
    """One proxy's clock says nothing of another's."""
    skews = ClockSkews(TOLERANCE)
    for number in range(20):
        skews.observe("10.0.0.1", -0.5, float(number))
        skews.observe("10.0.0.2", 0.001, float(number))
    assert skews.observe("10.0.0.1", -0.5, 20.0) == -0.5
    assert skews.observe("10.0.0.2", 0.001, 20.0) == 0.0
    assert skews.offsets(20.0) == {"10.0.0.1": -0.5, "10.0.0.2": 0.001}


def test_at_most_64_hosts_are_remembered() -> None:
    """The others are as without an estimate."""
    skews = ClockSkews(TOLERANCE)
    for number in range(100):
        assert [skews.observe(f"10.0.0.{number}", -1.0, 0.0) for _ in range(20)][-1] == (-1.0 if number < 64 else 0.0)
    assert len(skews.offsets(0.0)) == 64


def test_a_silent_host_gives_its_place_to_another() -> None:
    """After five minutes."""
    skews = ClockSkews(TOLERANCE)
    for number in range(64):
        skews.observe(f"10.0.0.{number}", 0.0, 0.0)
    skews.observe("10.0.1.1", 0.25, 299.0)
    assert "10.0.1.1" not in skews.offsets(299.0)
    skews.observe("10.0.1.1", 0.25, 301.0)
    assert skews.offsets(301.0) == {"10.0.1.1": 0.25}
