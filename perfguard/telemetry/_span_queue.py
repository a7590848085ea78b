"""The bounded queue of spans on their way to the collector."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Condition, RLock, Thread
from time import monotonic

from opentelemetry.context import attach, set_value
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from perfguard._faults import Faults
from perfguard._forking import in_each_child
from perfguard.telemetry._lost_spans import LostSpans, Why

PATIENCE = 2.0
"""Seconds for which a shutdown waits for the collector."""


class SpanQueue(SpanProcessor):
    """Exports the spans that end, in batches, from a thread of its own; a slow collector costs requests nothing.

    It is there besides the SDK's `BatchSpanProcessor` since that one counts no drops, and
    waits for up to 30 s at the end of the process. Spans that do not fit are dropped, the
    newest first, and counted. A forked child begins with an empty queue, since what its
    parent has queued is its parent's to export.

    Safe from any thread. A signal handler, or the garbage collector, may end a span in
    the midst of another's end.

    Args:
        exporter: Delivers a batch; called from one thread at a time.
        length: How many spans may wait.
        batch: How many are exported at once, and wake the thread before its time.
        delay: Seconds between two exports.

    Attributes:
        exported: Spans that the collector took, in this process.
        lost: Those that did not get there, and why.
    """

    exported: int
    lost: LostSpans
    _exporter: SpanExporter
    _length: int
    _batch: int
    _delay: float
    _waiting: deque[ReadableSpan]
    _accepted: int
    _lock: RLock
    _wake: SimpleQueue[None]
    _woken: bool
    _progress: Condition
    _stopping: bool
    _given_up: bool
    _thread: Thread

    def __init__(self, exporter: SpanExporter, *, length: int, batch: int, delay: float) -> None:
        self._exporter = exporter
        self._length = length
        self._batch = min(batch, length)
        self._delay = delay
        self.lost = LostSpans()
        self._fault = Faults("telemetry", "spans are lost").report
        self._stopping = self._given_up = False
        self._start_afresh()
        in_each_child(self._start_afresh)

    def __repr__(self) -> str:
        return f"<SpanQueue {len(self._waiting)} waiting, {self.exported} exported, {self.lost.total} lost>"

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended, if it is sampled."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        with self._lock:
            waiting = len(self._waiting)
            fits = waiting < self._length and not self._stopping
            if fits:
                self._waiting.append(span)
                self._accepted += 1
        if not fits:
            self.lost.add(Why.SHUTDOWN if self._stopping else Why.QUEUE_FULL)
        elif waiting + 1 >= self._batch and not self._woken:
            self._woken = True
            self._wake.put(None)

    def force_flush(self, timeout_millis: float = 30000) -> bool:
        """Export what has ended by now; say whether that was done in time, in milliseconds."""
        goal = self._accepted
        self._wake.put(None)
        with self._progress:
            return self._progress.wait_for(lambda: self._settled >= goal, timeout_millis / 1e3)

    def stop(self) -> None:
        """Take no more spans, and export what waits; `shutdown` waits for that."""
        with self._lock:
            self._stopping = True
        self._wake.put(None)

    def shutdown(self, timeout: float = PATIENCE) -> None:
        """Export what waits, for so many seconds at most; what is left is lost, and counted. Once only."""
        if self._given_up:
            return
        self.stop()
        self._thread.join(timeout)
        with self._progress:
            self._given_up = True
            self.lost.add(Why.SHUTDOWN, self._accepted - self._settled)
        # Ends a retry that waits for its time, too.
        self._exporter.shutdown()
        self.lost.tell(monotonic(), last=True)

    @property
    def _settled(self) -> int:
        return self.exported + self.lost.failed

    def _start_afresh(self) -> None:
        self.exported = self._accepted = 0
        self.lost.start_afresh()
        self._waiting = deque()
        # Not an `Event`, whose lock a thread cannot take twice.
        self._lock, self._wake, self._progress = RLock(), SimpleQueue(), Condition()
        self._woken = False
        self._thread = Thread(target=self._run, name="perfguard-spans", daemon=True)
        if not self._stopping:
            self._thread.start()

    def _run(self) -> None:
        # Instrumentations of HTTP clients ask for it: the export of spans is not to make spans.
        attach(set_value(key="suppress_instrumentation", value=True))
        while not self._stopping:
            with suppress(Empty):
                self._wake.get(timeout=self._delay)
            self._woken = False
            self._drain()
        self._drain()

    def _drain(self) -> None:
        for _ in range(-(-len(self._waiting) // self._batch)):
            if self._given_up:
                return
            spans = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            self._settle(len(spans), delivered=self._delivered(spans))
        self.lost.tell(monotonic())

    def _delivered(self, spans: list[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:
            self._fault("a batch", error)
            return False

    def _settle(self, spans: int, *, delivered: bool) -> None:
        with self._progress:
            if self._given_up:
                # Counted by then.
                return
            if delivered:
                self.exported += spans
            else:
                self.lost.add(Why.EXPORT_FAILED, spans)
            self._progress.notify_all()
