"""The calls of a stretch of time in a few numbers."""

from perfguard.stats.window import Window


def test_window_without_calls_says_zero() -> None:
    window = Window(1.0)
    assert (window.mean, window.wait, window.quantile(0.5), window.served) == (0.0, 0.0, 0.0, 0)


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
