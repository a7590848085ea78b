"""The names of spans, attributes and metrics: those of the semantic conventions 1.44, and perfguard's own."""

from __future__ import annotations

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# Of the conventions, attributes. They are spelt out since the package of the constants takes 15 ms to load.
METHOD = "http.request.method"
METHOD_ORIGINAL = "http.request.method_original"
ROUTE = "http.route"
STATUS_CODE = "http.response.status_code"
SCHEME = "url.scheme"
PATH = "url.path"
QUERY = "url.query"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
CLIENT_ADDRESS = "client.address"
PROTOCOL_VERSION = "network.protocol.version"
USER_AGENT = "user_agent.original"
ERROR_TYPE = "error.type"

OTHER = "_OTHER"
"""What stands for a value that is not one of the few known."""

# Of the conventions, metrics.
REQUEST_DURATION = "http.server.request.duration"
ACTIVE_REQUESTS = "http.server.active_requests"

# perfguard's own attributes. Times are in seconds.
QUEUE_TIME = "perfguard.queue.time"
KERNEL_TIME = "perfguard.queue.kernel.time"
ADMISSION_TIME = "perfguard.queue.admission.time"
THREAD_POOL_TIME = "perfguard.queue.thread_pool.time"
UPSTREAM_TIME = "perfguard.queue.upstream.time"
POOL_WAIT_TIME = "perfguard.pool.wait.time"
SERVICE_TIME = "perfguard.service.time"
DEADLINE_BUDGET = "perfguard.deadline.budget"
RESULT = "perfguard.admission.result"
REASON = "perfguard.admission.reason"
PRIORITY = "perfguard.priority"
KEPT = "perfguard.kept"
REFUSALS = "perfguard.refusals"
GUARD = "perfguard.guard"
KEY = "perfguard.key"
QUEUE_NAME = "perfguard.queue.name"
STATE = "perfguard.backpressure.state"

# Values of `perfguard.admission.result`, which ASP.NET's rate limiting has as well.
ACQUIRED = "acquired"
REJECTED = "rejected"
EXPIRED = "expired"
CANCELED = "canceled"

SHED = "perfguard.shed."
"""What `error.type` begins with for a refusal; the reason follows."""

# perfguard's own metrics.
TIME_IN_QUEUE = "perfguard.request.time_in_queue"
SERVICE_DURATION = "perfguard.request.service.duration"
QUEUE_WAIT = "perfguard.queue.wait"
QUEUED_REQUESTS = "perfguard.queued_requests"
ACTIVE_LEASES = "perfguard.active_leases"
REQUESTS = "perfguard.requests"
LIMIT = "perfguard.limit"
