"""What must be made anew in a forked child."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def in_each_child(method: Callable[[], None]) -> None:
    """Call a bound method in every child that is forked, without keeping its object alive."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        survivor = reference()
        if survivor is not None:
            survivor()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
