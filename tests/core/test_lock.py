"""The lock under which a guard decides: who holds it, and what waits for its release."""

from __future__ import annotations

import pytest

from perfguard._lock import DecisionLock


def test_it_tells_a_thread_that_it_holds_it_already() -> None:
    lock = DecisionLock()
    assert lock.acquire()
    assert not lock.acquire()
    lock.release()
    lock.release()
    assert lock.acquire()


def test_what_is_put_off_waits_for_the_outermost_release() -> None:
    lock, done = DecisionLock(), list[str]()
    with lock:
        with lock:
            lock.later(lambda: done.append("late"))
        assert not done
    assert done == ["late"]


def test_what_is_put_off_may_decide_and_put_off_again() -> None:
    lock, done = DecisionLock(), list[str]()

    def decide() -> None:
        with lock:
            lock.later(lambda: done.append("last"))
            done.append("first")

    with lock:
        lock.later(decide)
    assert done == ["first", "last"]


def test_an_action_that_raises_leaves_the_others_to_the_next() -> None:
    lock, done = DecisionLock(), list[str]()

    def fail() -> None:
        raise KeyboardInterrupt

    lock.acquire()
    lock.later(fail)
    lock.later(lambda: done.append("late"))
    with pytest.raises(KeyboardInterrupt):
        lock.release()
    with lock:
        pass
    assert done == ["late"]
