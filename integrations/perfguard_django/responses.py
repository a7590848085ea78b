"""The end of service of Django's responses, and a refusal as one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from perfguard._body import OpenStreams
from perfguard._http import STATUS, Refusals
from perfguard.admission import Admission, outcome_of
from perfguard.context import Serving
from perfguard.errors import Rejected
from perfguard.outcome import outcome_of_status

if TYPE_CHECKING:
    from perfguard.telemetry._live import Live

_NOTHING = nullcontext()


def refusal(refusals: Refusals, error: Rejected, request: HttpRequest) -> HttpResponse:
    """Return the response that refuses a request."""
    headers, body = refusals.render(error, json="json" in request.META.get("HTTP_ACCEPT", ""))
    response = HttpResponse(
        b"" if request.method == "HEAD" else body,
        status=STATUS,
        headers={name.decode("latin-1").title(): value.decode("latin-1") for name, value in headers},
    )
    # Django logs every 5xx as an error, and by default mails it to ADMINS: a mail for each
    # refusal. It has no public way to say that a response is accounted for; a version
    # that asks otherwise logs it.
    response._has_been_logged = True  # type: ignore[attr-defined] # noqa: SLF001
    return response


def follow(response: Any, admission: Admission, streams: OpenStreams, live: Live | None = None) -> None:
    """Settle the admission when the service of a response ends, and record the request at its end.

    That is now for a response whose content is there (a file is), and else when its
    first part is. A stream over the cap keeps its permit until it ends, so that streams
    are bounded without being cut.
    """
    # A file that is replaced by an iterator of ours would be lost to `wsgi.file_wrapper`.
    if not getattr(response, "streaming", False) or getattr(response, "file_to_stream", None) is not None:
        status = getattr(response, "status_code", 0)
        admission.settle(outcome_of_status(status))
        if live is not None:
            live.end(status, None)
        return
    kind = AsyncStream if response.is_async else Stream
    response.streaming_content = kind(response.streaming_content, response.status_code, admission, streams, live=live)


class _Streamed:
    """What both kinds of streams share: when service ends.

    Django calls `close` when it closes the response, as for any `streaming_content`.

    Args:
        parts: The response's own content.
        status: The response's.
        admission: What to settle.
        streams: Where streams count.
        live: The request under way, where it is recorded.
    """

    __slots__ = ("__weakref__", "_admission", "_live", "_parts", "_started", "_status", "_streams")

    _parts: Any  # `None` once it has ended.
    _status: int
    _admission: Admission
    _streams: OpenStreams
    _started: bool
    _live: Live | None

    def __init__(
        self, parts: Any, status: int, admission: Admission, streams: OpenStreams, *, live: Live | None
    ) -> None:
        self._parts = parts
        self._status = status
        self._admission = admission
        self._streams = streams
        self._started = False
        self._live = live

    def close(self) -> None:
        """End what is still open; safe from any thread, and more than once."""
        # They hold the response, which holds this: a cycle, for the collector to find.
        self._parts = None
        self._streams.closed(self)
        self._admission.settle(outcome_of_status(self._status))
        self._end(None)

    def __del__(self) -> None:
        # A response that is dropped is never closed, say when a client leaves.
        self.close()

    def _first(self, part: bytes) -> None:
        if part and not self._started:
            self._started = True
            if self._streams.opened(self):
                self._admission.settle(outcome_of_status(self._status))

    def _ended(self, error: BaseException) -> None:
        if not isinstance(error, (StopIteration, StopAsyncIteration)):
            self._admission.settle(outcome_of(type(error)))
            self._end(error)
        self.close()

    def _end(self, error: BaseException | None) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.end(self._status, error)


class Stream(_Streamed):
    """The parts of a streamed response."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with self._live or _NOTHING:
                part = self._produced()
        except BaseException as error:
            self._ended(error)
            raise
        self._first(part)
        return part

    def _produced(self) -> bytes:
        if self._parts is None:
            raise StopIteration
        if self._started:
            later: bytes = next(self._parts)
            return later
        with Serving(self._admission):
            part: bytes = next(self._parts)
        return part


class AsyncStream(_Streamed):
    """The parts of an asynchronously streamed response."""

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            with self._live or _NOTHING:
                part = await self._produced()
        except BaseException as error:
            self._ended(error)
            raise
        self._first(part)
        return part

    async def _produced(self) -> bytes:
        if self._parts is None:
            raise StopAsyncIteration
        if self._started:
            later: bytes = await anext(self._parts)
            return later
        with Serving(self._admission):
            part: bytes = await anext(self._parts)
        return part
