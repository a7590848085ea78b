"""The client side of a load: a pool that grows, so that no request ever waits for a connection."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

from perfguard.cli.load.connection import IDLE, Connection
from perfguard.cli.load.fate import Fate, fate_of
from perfguard.cli.load.plan import Connections
from perfguard.cli.load.route import Address, Route


class Client:
    """Sends requests, each on a connection that is free or new, and says how each ended. For one loop's thread.

    A server may close a kept connection at the very moment at which a request is written to it.
    A request that meets this, with not one byte received, is sent once more on a new connection.

    Args:
        on_settled: Called once for each request, with its number and its status or `Fate`; meanwhile
            `retry_after` holds the seconds of the answer's `Retry-After`, or 0.
        connections: Whether connections are kept.
        limit: Connections open at the same time; a request that would need one more settles as `Fate.UNSENT`.
    """

    def __init__(self, on_settled: Callable[[int, int], None], *, connections: Connections, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._settled = on_settled
        self._keep = connections is Connections.KEEP_ALIVE
        self._limit = limit
        # The connection used last is used next: the pool stays as small as the load allows.
        self._idle: defaultdict[Address, dict[Connection, None]] = defaultdict(dict)
        self._busy: dict[int, Connection] = {}
        self._dialling: dict[Connection, asyncio.Task[None]] = {}
        self.open = 0
        self.peak = 0
        self.opened = 0
        self.retried = 0
        self.retry_after = 0.0

    def __repr__(self) -> str:
        return f"<Client: {len(self._busy)} in flight, {self.open} open of {self._limit}>"

    @property
    def in_flight(self) -> int:
        """Requests sent and not settled."""
        return len(self._busy)

    def send(self, request: int, route: Route) -> None:
        """Send a request now."""
        idle = self._idle[route.address]
        while idle:
            connection, _ = idle.popitem()
            if connection.open:
                self._busy[request] = connection
                connection.send(request, route)
                return
        self._dial(request, route)

    def abandon(self, request: int) -> None:
        """Close the connection of a request that nobody waits for any more; settles as `Fate.UNANSWERED`."""
        connection = self._busy.pop(request, None)
        if connection is None:
            return
        connection.abandon()
        task = self._dialling.get(connection)
        if task is not None:
            task.cancel()
        self._settled(request, Fate.UNANSWERED)

    async def close(self) -> None:
        """Close every connection; what is in flight settles as `Fate.UNANSWERED`."""
        for request in list(self._busy):
            self.abandon(request)
        for idle in self._idle.values():
            for connection in list(idle):
                connection.abandon()
        self._idle.clear()
        await asyncio.gather(*self._dialling.values(), return_exceptions=True)
        # Aborted transports report their end in the loop's next turn.
        await asyncio.sleep(0.01)

    def answered(self, connection: Connection, request: int, status: int) -> None:
        """See `Owner.answered`."""
        del self._busy[request]
        if self._keep and connection.reusable:
            self._idle[connection.route.address][connection] = None
        else:
            connection.close()
        self.retry_after = connection.retry_after
        self._settled(request, status)
        self.retry_after = 0.0

    def failed(self, connection: Connection, request: int, fate: Fate) -> None:
        """See `Owner.failed`."""
        del self._busy[request]
        if fate is Fate.CLOSED and connection.served and connection.route.repeatable:
            self.retried += 1
            self._dial(request, connection.route)
        else:
            self._settled(request, fate)

    def closed(self, connection: Connection) -> None:
        """See `Owner.closed`."""
        self.open -= 1
        self._idle[connection.route.address].pop(connection, None)

    def _dial(self, request: int, route: Route) -> None:
        if self.open >= self._limit:
            self._settled(request, Fate.UNSENT)
            return
        self.open += 1
        self.opened += 1
        self.peak = max(self.peak, self.open)
        connection = Connection(self, route, request)
        self._busy[request] = connection
        task = self._loop.create_task(self._connect(connection))
        self._dialling[connection] = task

    async def _connect(self, connection: Connection) -> None:
        host, port = connection.route.address
        try:
            await self._loop.create_connection(lambda: connection, host, port)
        except (OSError, asyncio.CancelledError) as error:
            if not connection.established:
                self.open -= 1
            if connection.request != IDLE:
                self._give_up(connection, error)
        finally:
            del self._dialling[connection]

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        request, connection.request = connection.request, IDLE
        del self._busy[request]
        self._settled(request, fate_of(error))
