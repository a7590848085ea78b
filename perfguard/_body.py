"""One WSGI response under way: what its parts say of the end of service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving
from perfguard.outcome import outcome_of_status

StartResponse = Callable[..., Callable[[bytes], object]]


class OpenStreams:
    """The streams that are open, under a cap of their own; safe from any thread.

    Where several threads open one at the same instant the cap may be passed by as many.

    Args:
        most: How many may be open.
    """

    __slots__ = ("_open", "most")

    most: int
    _open: set[int]

    def __init__(self, most: int) -> None:
        self.most = most
        self._open = set()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def opened(self, body: object) -> bool:
        """Count a stream; say whether there was room for it."""
        if len(self._open) >= self.most:
            return False
        self._open.add(id(body))
        return True

    def closed(self, body: object) -> None:
        """Count a stream no longer, if it was counted."""
        self._open.discard(id(body))


class Response:
    """Follows one response from its status on, and settles its admission when service ends.

    A body that is there as a whole (a list, or a file for the server's file wrapper) ends
    the service when the application returns it. One that comes in parts ends it with the
    first part, if more are to come (a stream, counted under its own cap), else at its
    `close`, or when it is dropped by a server that never closes. A stream over the cap
    keeps its permit until it ends, so that streams are bounded without being cut.

    Args:
        admission: What to settle.
        start_response: The server's.
        streams: Where streams count.
    """

    __slots__ = ("_admission", "_length", "_start_response", "_status", "_streams")

    _admission: Admission
    _start_response: StartResponse
    _streams: OpenStreams
    _status: int
    _length: int | None

    def __init__(self, admission: Admission, start_response: StartResponse, streams: OpenStreams) -> None:
        self._admission = admission
        self._start_response = start_response
        self._streams = streams
        self._status = 0
        self._length = None

    def start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        """Hand the status and the headers on, and note what they say; the application's `start_response`."""
        write = self._start_response(status, headers, *exc_info)
        self._status, self._length = _status_of(status), _length_of(headers)

        def written(data: bytes) -> object:
            # A body that is written has no close of its own: each part is as good as the last.
            self.settle()
            return write(data)

        return written

    def followed(self, body: Iterable[bytes], environ: dict[str, Any]) -> Iterable[bytes]:
        """Return the body for the server: as it is where all of it is there."""
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(body, (list, tuple)) or (isinstance(wrapper, type) and isinstance(body, wrapper)):
            self.settle()
            return body
        return SizedBody(body, self) if hasattr(body, "__len__") else Body(body, self)

    def serve(self, body: Body) -> bytes:
        """Return the next part, produced as part of the service."""
        with Serving(self._admission):
            return body.produced()

    def first(self, part: bytes, body: Body) -> None:
        """Take note of the first part of a body that has any bytes."""
        whole = self._length is not None and len(part) >= self._length
        if not whole and self._streams.opened(body):
            self.settle()

    def settle(self, error: BaseException | None = None) -> None:
        """End the service, for good or with an error."""
        if error is not None:
            self._admission.settle(outcome_of(type(error)))
        else:
            self._admission.settle(outcome_of_status(self._status))

    def closed(self, body: Body) -> None:
        """End what is still open."""
        self._streams.closed(body)
        self.settle()


class Body:
    """The parts of a body, handed on one by one."""

    __slots__ = ("_iterable", "_parts", "_response", "_started")

    _iterable: Iterable[bytes]
    _parts: Iterator[bytes] | None
    _response: Response
    _started: bool

    def __init__(self, iterable: Iterable[bytes], response: Response) -> None:
        self._iterable = iterable
        self._parts = None
        self._response = response
        self._started = False

    def __iter__(self) -> Iterator[bytes]:
        if self._parts is None:
            self._parts = iter(self._iterable)
        return self

    def __next__(self) -> bytes:
        try:
            part = self.produced() if self._started else self._response.serve(self)
        except StopIteration:
            raise
        except BaseException as error:
            self._response.settle(error)
            raise
        if part and not self._started:
            self._started = True
            self._response.first(part, self)
        return part

    def produced(self) -> bytes:
        """Return the application's next part."""
        self._parts = self._parts or iter(self._iterable)
        return next(self._parts)

    def close(self) -> None:
        """Close the application's body, as PEP 3333 asks of whoever wraps it."""
        try:
            close = getattr(self._iterable, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._response.settle(error)
            raise
        finally:
            self._response.closed(self)

    def __del__(self) -> None:
        # Some servers never call close, say when the client has left.
        self._response.closed(self)


class SizedBody(Body):
    """A body that tells how many parts it has, which servers use for a `Content-Length`."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]


def _status_of(status: str) -> int:
    try:
        return int(status[:3])
    except (TypeError, ValueError):
        # A malformed status is the server's to complain about.
        return 0


def _length_of(headers: Iterable[Any]) -> int | None:
    try:
        for name, value in headers:
            if name.lower() == "content-length":
                return int(value)
    except (AttributeError, TypeError, ValueError):
        # So are malformed headers.
        return None
    return None
