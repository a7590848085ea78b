"""Which request a line of the log belongs to."""

from __future__ import annotations

import logging

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from perfguard._faults import Faults
from perfguard.context import current_admission


class RequestFilter(logging.Filter):
    """Adds to each record the trace, the route and the time in queue of the current request.

    A standard `logging.Filter` that lets every record pass. Put it on a handler, not on a
    logger, since a logger's filters do not see what comes from the loggers below it. Safe
    from any thread; outside a request the values are empty.

    The records get:

    - `trace_id` and `span_id`: in hexadecimal, as backends show them; `""` without a span.
    - `route`: the key under which the request was admitted, such as its route's template;
      `""` without a request.
    - `queue_time`: seconds from arrival to admission, `0.0` where none.

    What a record has already stays: the `extra` of its call, and, behind a `QueueHandler` that
    has the filter, what was current where the line was written.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fault = Faults("RequestFilter", "lines of the log lack their request").report

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the values; return True."""
        try:
            values = _current()
        except Exception as error:
            values = _NONE
            self._fault("what is current", error)
        for name, value in values.items():
            record.__dict__.setdefault(name, value)
        return True


_NONE: dict[str, object] = {"trace_id": "", "span_id": "", "route": "", "queue_time": 0.0}


def _current() -> dict[str, object]:
    values = dict(_NONE)
    context = get_current_span().get_span_context()
    if context.is_valid:
        values |= {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
    admission = current_admission.get()
    if admission is not None:
        values |= {"route": admission.call.key, "queue_time": admission.queue_time}
    return values
