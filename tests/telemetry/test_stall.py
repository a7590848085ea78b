"""What a stack says of the call that holds a loop."""

from __future__ import annotations

import json
import sys
from types import CodeType, FrameType
from typing import Any

import pytest
from opentelemetry.semconv.attributes import code_attributes

from perfguard.telemetry.stall import DEEPEST, Ground, Stall, frame_of


def frame_in(path: str, module: str) -> FrameType:
    """A frame of a function of that file and module."""
    names: dict[str, Any] = {"__name__": module, "frame": sys._getframe}  # noqa: SLF001
    exec(compile("def run():\n    return frame()", path, "exec"), names)  # noqa: S102
    frame: FrameType = names["run"]()
    return frame


def test_a_call_into_a_library_is_told_by_the_application_above_it() -> None:
    stall = Stall.of([sys._getframe(), frame_in(json.__file__, "json")], 0.25)  # noqa: SLF001
    name = test_a_call_into_a_library_is_told_by_the_application_above_it.__name__
    assert stall.function == f"{__name__}.{name}"
    assert (stall.path, stall.innermost, stall.delay) == (__file__, "json.run", 0.25)
    assert stall.stacktrace.index(__file__) < stall.stacktrace.index(json.__file__)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        (json.__file__, "json"),
        ("/srv/venv/lib/python3.11/site-packages/requests/api.py", "requests.api"),
        ("/usr/lib/python3/dist-packages/requests/api.py", "requests.api"),
        ("/srv/perfguard/asgi.py", "perfguard.asgi"),
        ("/srv/integrations/perfguard_fastapi/middleware.py", "perfguard_fastapi.middleware"),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap"),
    ],
)
def test_a_library_is_not_to_blame(path: str, module: str) -> None:
    ours = sys._getframe()  # noqa: SLF001
    assert Stall.of([ours, frame_in(path, module)], 0.1).path == __file__


@pytest.mark.parametrize("path", ["/srv/app/views.py", "/srv/perfguarded/views.py"])
def test_the_application_is(path: str) -> None:
    stall = Stall.of([sys._getframe(), frame_in(path, "perfguarded.views")], 0.1)  # noqa: SLF001
    assert (stall.path, stall.function, stall.line) == (path, "perfguarded.views.run", 2)


def test_where_no_frame_is_the_applications_the_innermost_is_told() -> None:
    frames = [frame_in(json.__file__, "json"), frame_in("<string>", "codecs")]
    assert Stall.of(frames, 0.1).function == Stall.of(frames, 0.1).innermost == "codecs.run"


def test_a_stack_is_told_by_its_innermost_frames() -> None:
    frames = [sys._getframe()] * 500 + [frame_in("/srv/app/views.py", "views")]  # noqa: SLF001
    stall = Stall.of(frames, 0.1)
    assert stall.stacktrace.rstrip().splitlines()[-1].strip().startswith('File "/srv/app/views.py"')
    assert len(stall.stacktrace.splitlines()) < 3 * DEEPEST


def test_attributes_are_those_of_the_conventions() -> None:
    attributes = Stall.of([sys._getframe()], 0.1).attributes()  # noqa: SLF001
    assert {name for name in attributes if name.startswith("code.")} == {
        code_attributes.CODE_FUNCTION_NAME,
        code_attributes.CODE_FILE_PATH,
        code_attributes.CODE_LINE_NUMBER,
        code_attributes.CODE_STACKTRACE,
    }


def callback(ground: Ground) -> list[CodeType]:
    return [frame.f_code for frame in ground.above(sys._getframe())]  # noqa: SLF001


def test_what_a_loop_has_called_is_what_stands_above_its_ground() -> None:
    here = sys._getframe()  # noqa: SLF001
    ground = Ground.below(here)
    assert callback(ground) == [callback.__code__]
    assert ground.above(here) == []


def test_all_of_a_greenlets_stack_is_what_the_loop_has_called() -> None:
    greenlet = pytest.importorskip("greenlet")
    ground = Ground.below(sys._getframe())  # noqa: SLF001
    assert greenlet.greenlet(callback).switch(ground) == [callback.__code__]


def test_a_thread_that_has_ended_has_no_frame() -> None:
    assert frame_of(-1) is None
