"""One WSGI response under way: what its parts say of the end of service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving
from perfguard.outcome import Outcome, outcome_of_status

StartResponse = Callable[..., Callable[[bytes], object]]

# Looked up once, since to find it in its enumeration costs more than to call a function.
_SUCCESS = Outcome.SUCCESS


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

    def opened(self, stream: object) -> bool:
        """Count a stream; say whether there was room for it."""
        if len(self._open) >= self.most:
            return False
        self._open.add(id(stream))
        return True

    def closed(self, stream: object) -> None:
        """Count a stream no longer, if it was counted."""
        self._open.discard(id(stream))


class Response:
    """Follows one response from its status on, and settles its admission when service ends.

    A body that is there as a whole (a list, or a file for the server's file wrapper) ends
    the service when the application returns it. One that comes in parts ends it with the
    first part, if more are to come (a stream, counted under its own cap), else at its
    `close`, or when it is dropped by a server that never closes. So does one that is
    written, for which the application's return is the `close`. A stream over the cap
    keeps its permit until it ends, so that streams are bounded without being cut.

    Args:
        admission: What to settle.
        start_response: The server's.
        streams: Where streams count.

    Attributes:
        started: Whether a part with any bytes has come.
    """

    __slots__ = ("_admission", "_headers", "_start_response", "_status", "_streams", "_write", "started")

    started: bool
    _admission: Admission
    _start_response: StartResponse
    _streams: OpenStreams
    _status: Any
    _headers: Any
    _write: Callable[[bytes], object]

    def __init__(self, admission: Admission, start_response: StartResponse, streams: OpenStreams) -> None:
        self._admission = admission
        self._start_response = start_response
        self._streams = streams
        self._status = ""
        self._headers = ()
        self.started = False

    def start(
        self, status: str, headers: list[tuple[str, str]], *exc_info: Any, **named: Any
    ) -> Callable[[bytes], object]:
        """Hand the status and the headers on, and note them; the application's `start_response`."""
        self._write = self._start_response(status, headers, *exc_info, **named)
        self._status = status
        self._headers = headers
        return self._written

    def call(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Iterable[bytes]:
        """Call the application; return its body."""
        return app(environ, self.start)

    def followed(self, body: Iterable[bytes], environ: dict[str, Any]) -> Iterable[bytes]:
        """Return the body for the server: as it is where all of it is there."""
        if isinstance(body, (list, tuple)) or is_file(body, environ.get("wsgi.file_wrapper")):
            self.closed()
            return body
        return SizedBody(body, self) if hasattr(body, "__len__") else Body(body, self)

    def serve(self, body: Body) -> bytes:
        """Return the next part, produced as part of the service."""
        with Serving(self._admission):
            part = body.produced()
        if part and not self.started:
            self._first(part)
        return part

    def closed(self, error: BaseException | None = None) -> None:
        """End what is still open, for good or with an error; from the second time on it does nothing."""
        if self.started:
            self._streams.closed(self)
        self.settle(error)

    def failed(self, error: BaseException) -> None:
        """End what is still open of a request whose application raised."""
        self.closed(error)

    def settle(self, error: BaseException | None = None) -> None:
        """End the service, for good or with an error."""
        if self._admission.settled:
            return
        if error is not None:
            self._admission.settle(outcome_of(type(error)))
        elif self._status == "200 OK":
            self._admission.settle(_SUCCESS)
        else:
            self._admission.settle(outcome_of_status(status_of(self._status)))

    def _written(self, data: bytes) -> object:
        """Hand a part on to the server; the application's `write`."""
        if data and not self.started:
            self._first(data)
        return self._write(data)

    def _first(self, part: bytes) -> None:
        self.started = True
        length = _length_of(self._headers)
        whole = length is not None and isinstance(part, bytes) and len(part) >= length
        if not whole and self._streams.opened(self):
            self.settle()


class Body:
    """The parts of a body, handed on one by one."""

    __slots__ = ("_iterable", "_parts", "_response")

    _iterable: Iterable[bytes]
    _parts: Iterator[bytes] | None
    _response: Response

    def __init__(self, iterable: Iterable[bytes], response: Response) -> None:
        self._iterable = iterable
        self._parts = None
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        response = self._response
        try:
            return self.produced() if response.started else response.serve(self)
        except StopIteration:
            raise
        except BaseException as error:
            response.settle(error)
            raise

    def produced(self) -> bytes:
        """Return the application's next part."""
        if self._parts is None:
            self._parts = iter(self._iterable)
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
            self._response.closed()

    def __del__(self) -> None:
        # Some servers never call close, say when the client has left.
        self._response.closed()


class SizedBody(Body):
    """A body that tells how many parts it has, which servers use for a `Content-Length`."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]


def is_file(body: object, wrapper: object) -> bool:
    """Say whether the server's file wrapper made a body, which the server then knows again."""
    if isinstance(wrapper, type):
        return isinstance(body, wrapper)
    # uWSGI's is a function, and returns the file itself.
    return wrapper is not None and hasattr(body, "read")


def status_of(status: Any) -> int:
    """Return the number in a status line, 0 without one."""
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
