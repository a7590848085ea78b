"""Which request a line of the log belongs to."""

from __future__ import annotations

import logging

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from perfguard.context import current_admission


class RequestFilter(logging.Filter):
    """Adds to each record the trace, the route and the time in queue of the current request.

    A standard `logging.Filter` that lets every record pass. Put it on a handler, not on a
    logger, since a logger's filters do not see what comes from the loggers below it. Safe
    from any thread; outside a request the values are empty.

    The records get:

    - `trace_id` and `span_id`: in hexadecimal, as backends show them; `""` without a span.
    - `route`: the key under which the request was admitted, such as its route's template.
    - `queue_time`: seconds from arrival to admission, `0.0` where none.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the values; return True."""
        context = get_current_span().get_span_context()
        valid = context.is_valid
        record.trace_id = format_trace_id(context.trace_id) if valid else ""
        record.span_id = format_span_id(context.span_id) if valid else ""
        admission = current_admission.get()
        record.route = "" if admission is None else admission.call.key
        record.queue_time = 0.0 if admission is None else admission.queue_time
        return True
