"""Where the time of a request went: parts that add up."""

from __future__ import annotations

from typing import NamedTuple

from perfguard.admission import Admission


class Times(NamedTuple):
    """The parts of a request's time, in seconds; all but `upstream` add up to its duration.

    Attributes:
        upstream: With a trusted proxy, by another clock and before the request arrived here.
        kernel: In the kernel's socket buffers and in the event loop, or with the server.
        admission: In the admission queue.
        thread_pool: Waiting for a thread.
        pool: Waiting for anything else inside the process, such as a connection.
        service: All the rest.
    """

    upstream: float
    kernel: float
    admission: float
    thread_pool: float
    pool: float
    service: float

    @property
    def queue(self) -> float:
        """The time in queues of this host."""
        return self.kernel + self.admission + self.thread_pool


def times_of(admission: Admission, duration: float) -> Times:
    """Return the parts of a request's duration, from arrival on this host, in seconds.

    Waits that overlapped, as of calls made at the same time, count no longer than the
    service they were part of.
    """
    upstream = admission.call.proxy_time
    before = min(max(0.0, admission.queue_time - upstream), duration)
    queued = min(admission.admission_time, before)
    left = duration - before
    thread = min(admission.thread_time, left)
    pool = min(max(0.0, admission.wait_time - admission.thread_time), left - thread)
    return Times(upstream, before - queued, queued, thread, pool, left - thread - pool)
