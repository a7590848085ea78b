"""The calls of a stretch of time in a few numbers."""

from perfguard.stats.window import Window


def test_window_without_calls_says_zero() -> None:
    window = Window(1.0)
    assert (window.mean, window.wait, window.beside, window.served) == (0.0, 0.0, 0.0, 0)
    assert window.quantile(0.5) is None


def test_window_tells_the_times_of_calls_that_started_beside_few() -> None:
    window = Window(0.0)
    for in_flight in range(1, 11):
        window.add(0.01 * in_flight, in_flight, 0.0)
    assert window.quantile(0.5, in_flight=4) == 0.03
    assert window.quantile(0.5, in_flight=4, least=5) is None
    assert window.beside == 5.5


def test_window_keeps_the_time_of_a_call_that_it_does_not_count() -> None:
    window = Window(0.0)
    window.note(0.5, 1, 0.2)
    assert (window.count, window.quantile(0.5)) == (0, 0.3)


def test_window_leaves_measured_waits_out_of_the_service_time() -> None:
    window = Window(0.0)
    window.add(0.5, 3, 0.2)
    assert (window.mean, window.wait, window.quantile(0.5)) == (0.3, 0.2, 0.3)


def test_window_counts_drops_without_their_censored_times() -> None:
    window = Window(0.0)
    window.add(0.5, 3, 0.0)
    window.drop(9)
    window.drop(2)
    assert (window.count, window.served, window.peak, window.mean) == (3, 1, 9, 0.5)
    assert repr(window) == "<Window 3 calls, 2 dropped, peak 9>"


def test_window_keeps_the_latest_times_for_quantiles() -> None:
    window = Window(0.0)
    for each in range(512):
        window.add(float(each), 1, 0.0)
    assert window.quantile(0.0) == 256.0
    assert window.quantile(1.0) == 511.0
