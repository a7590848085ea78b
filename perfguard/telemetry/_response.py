"""WSGI responses that are recorded, to the close of their body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perfguard._body import Body, OpenStreams, Response, StartResponse, is_file, status_of
from perfguard.admission import Admission
from perfguard.telemetry._described import WSGI
from perfguard.telemetry._live import Live
from perfguard.telemetry._recorder import Recorder


class RecordedResponse(Response):
    """A response whose request is recorded once its body is closed.

    A file for the server's wrapper must reach the server as it is, so that its request
    is recorded when the application returns it.

    Args:
        live: The request under way.
        start_response: The server's.
        streams: Where streams count.
    """

    __slots__ = ("_error", "_live")

    _live: Live
    _error: BaseException | None

    def __init__(self, live: Live, start_response: StartResponse, streams: OpenStreams) -> None:
        super().__init__(live.admission, start_response, streams)
        self._live = live
        self._error = None

    def call(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Iterable[bytes]:
        """Call the application with the request's span as the current one."""
        self._live.attach()
        try:
            return app(environ, self.start)
        finally:
            self._live.detach(here=True)

    def followed(self, body: Iterable[bytes], environ: dict[str, Any]) -> Iterable[bytes]:
        """Return the body for the server, as one that tells when it is closed."""
        if isinstance(body, (list, tuple)):
            self.closed()
            return WholeBody(body, self)
        if is_file(body, environ.get("wsgi.file_wrapper")):
            self.closed()
            self.ended()
            return body
        return RecordedSizedBody(body, self) if hasattr(body, "__len__") else RecordedBody(body, self)

    def advance(self, produce: Callable[[], bytes]) -> bytes:
        """Return the next part, produced with the request's span as the current one."""
        self._live.attach()
        try:
            return produce()
        finally:
            self._live.detach(here=True)

    def settle(self, error: BaseException | None = None) -> None:
        """End the service, for good or with an error."""
        if error is not None:
            self._error = error
        super().settle(error)

    def failed(self, error: BaseException) -> None:
        """End what is still open of a request whose application raised."""
        super().failed(error)
        self.ended()

    def ended(self) -> None:
        """Record the request; from the second time on it does nothing."""
        # It holds frames, and they this: a cycle, for the collector to find.
        error, self._error = self._error, None
        self._live.end(status_of(self._status), error)


class WholeBody:
    """A body that was there as a whole: its parts need no following."""

    __slots__ = ("_parts", "_response")

    _parts: list[bytes] | tuple[bytes, ...]
    _response: RecordedResponse

    def __init__(self, parts: list[bytes] | tuple[bytes, ...], response: RecordedResponse) -> None:
        self._parts = parts
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def close(self) -> None:
        """Record the request."""
        self._response.ended()

    def __del__(self) -> None:
        # Some servers never call close, say when the client has left.
        self._response.ended()


class RecordedBody(Body):
    """The parts of a body, handed on one by one, whose close ends the request's record."""

    __slots__ = ()

    _response: RecordedResponse

    def __next__(self) -> bytes:
        return self._response.advance(super().__next__)

    def close(self) -> None:
        """Close the application's body, and record the request."""
        try:
            super().close()
        finally:
            self._response.ended()

    def __del__(self) -> None:
        super().__del__()
        self._response.ended()


class RecordedSizedBody(RecordedBody):
    """A recorded body that tells how many parts it has, which servers use for a `Content-Length`."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]


class EnvironRecorder(Recorder):
    """Records the requests of a guard that come as WSGI environs."""

    protocol = WSGI

    def response(
        self, admission: Admission, environ: dict[str, Any], start_response: StartResponse, streams: OpenStreams
    ) -> RecordedResponse | None:
        """Return what follows and records an admitted request; `None`, which is logged, where that fails."""
        live = self.begun(admission, environ)
        return None if live is None else RecordedResponse(live, start_response, streams)

    def begun(self, admission: Admission, environ: dict[str, Any], task: Any = None) -> Live | None:
        """Return an admitted request under way; `None`, which is logged, where that fails."""
        try:
            return self.begin(admission, environ, task)
        except Exception as error:
            self.fault("the beginning of a request", error)
            return None
