"""What holds an event loop: the stack of its thread, and the call in it that is to blame."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import NamedTuple, Self

from perfguard.telemetry import names

DEEPEST = 64
"""Frames of a stack that are told at most, the innermost ones."""

_LIBRARIES = tuple({sysconfig.get_path(scheme) for scheme in ("stdlib", "platstdlib")})
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One call that holds the event loop.

    Attributes:
        delay: Seconds by which the loop was late when the stack was taken; the stall goes on.
        function: The innermost function that belongs to the application, with its module;
            the innermost of all where the stack has none.
        path: The file of that function.
        line: The line of it that is being run.
        innermost: The function at the very end of the stack, which may be a library's.
        stacktrace: What the loop has called, as Python prints a stack, the innermost last.
    """

    delay: float
    function: str
    path: str
    line: int
    innermost: str
    stacktrace: str

    @classmethod
    def of(cls, frames: list[FrameType], delay: float) -> Self:
        """Return the record of a stack that is not empty, its outermost frame first."""
        blamed = next((each for each in reversed(frames) if _is_application(each)), frames[-1])
        summary = traceback.StackSummary.extract((each, each.f_lineno) for each in frames[-DEEPEST:])
        return cls(
            delay=delay,
            function=_name(blamed),
            path=blamed.f_code.co_filename,
            line=blamed.f_lineno or blamed.f_code.co_firstlineno,
            innermost=_name(frames[-1]),
            stacktrace="".join(summary.format()),
        )

    def attributes(self) -> dict[str, str | int | float]:
        """Return it by the attributes of OpenTelemetry's conventions for code, and two of our own."""
        return {
            names.FUNCTION_NAME: self.function,
            names.FILE_PATH: self.path,
            names.LINE_NUMBER: self.line,
            names.STACKTRACE: self.stacktrace,
            names.STALL_TIME: self.delay,
            names.STALL_INNERMOST: self.innermost,
        }


class Ground(NamedTuple):
    """Where in its thread's stack an event loop calls what it runs.

    Attributes:
        depth: How many frames lie below.
        root: The code of the first of them.
    """

    depth: int
    root: CodeType

    @classmethod
    def below(cls, frame: FrameType) -> Self:
        """Return the ground of a callback's caller."""
        stack = _stack(frame)
        return cls(len(stack), stack[0].f_code)

    def above(self, frame: FrameType) -> list[FrameType]:
        """Return the frames of what the loop has called, outermost first; empty where it waits for the network.

        A stack with another root is a greenlet's, as SQLAlchemy's under asyncio, and the
        loop's own frames are not in it.
        """
        stack = _stack(frame)
        return stack[self.depth :] if stack[0].f_code is self.root else stack


def frame_of(thread: int) -> FrameType | None:
    """Return the innermost frame of a thread, by its identifier; `None` if it has ended."""
    # Documented, and the one way to see another thread's stack.
    return sys._current_frames().get(thread)  # noqa: SLF001


def _stack(frame: FrameType) -> list[FrameType]:
    frames = [frame]
    while (outer := frame.f_back) is not None:
        frames.append(frame := outer)
    frames.reverse()
    return frames


def _is_application(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    if path.startswith("<") or _module(frame).partition(".")[0].partition("_")[0] == "perfguard":
        return False
    return not any(folder in path for folder in _INSTALLED) and not path.startswith(_LIBRARIES)


def _name(frame: FrameType) -> str:
    return f"{_module(frame)}.{frame.f_code.co_qualname}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))
