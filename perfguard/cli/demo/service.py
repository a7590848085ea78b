"""The service of the demonstration: a small shop in FastAPI and SQLite, as one would write it without a guard."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean, median, pstdev

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from perfguard.cli.demo.data import DATABASE

POOL_SIZE = 4
REPORTED_ORDERS = 3_500
LISTED_ORDERS = 100

_ORDERS = """
SELECT page.id, page.month, product.name, line.quantity, product.cents
FROM (SELECT id, month FROM orders WHERE customer_id = ? ORDER BY month DESC, id LIMIT ?) AS page
JOIN line ON line.order_id = page.id JOIN product ON product.id = line.product_id
ORDER BY page.month DESC, page.id
"""
_SALES = """
SELECT product.category, orders.month, line.quantity * product.cents
FROM orders JOIN line ON line.order_id = orders.id JOIN product ON product.id = line.product_id
WHERE orders.id <= ?
"""


class Product(BaseModel):
    """A product."""

    id: int
    name: str
    category: str
    cents: int


class Item(BaseModel):
    """A line of an order."""

    product: str
    quantity: int
    cents: int


class Order(BaseModel):
    """An order of a customer."""

    id: int
    month: int
    items: list[Item]
    total: int


class Sales(BaseModel):
    """The sales of one category in one month."""

    category: str
    month: int
    total: int
    mean: float
    median: float
    deviation: float


class ConnectionPool:
    """Database connections, lent one at a time; who finds none waits for as long as it takes.

    For one event loop.

    Args:
        path: The database.
        size: How many connections.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._connections = [sqlite3.connect(path, check_same_thread=False) for _ in range(size)]
        self._free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        for connection in self._connections:
            self._free.put_nowait(connection)

    def __repr__(self) -> str:
        return f"<ConnectionPool: {self._free.qsize()} of {len(self._connections)} free>"

    @asynccontextmanager
    async def checkout(self) -> AsyncIterator[sqlite3.Connection]:
        """Lend a connection."""
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            connection.close()


def unguarded() -> FastAPI:
    """The service as it is."""
    app = FastAPI(lifespan=_lifespan)
    app.add_api_route("/healthz", health)
    app.add_api_route("/products/{number}", product, response_model=Product)
    app.add_api_route("/customers/{number}/orders", orders, response_model=list[Order])
    app.add_api_route("/reports/sales", sales_report, response_model=list[Sales])
    return app


def guarded() -> FastAPI:
    """The service with the guard: one line, no settings."""
    from perfguard.asgi import GuardMiddleware

    app = unguarded()
    app.add_middleware(GuardMiddleware)
    return app


async def health() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}


async def product(number: int, request: Request) -> Product:
    """Look one product up: the fast request."""
    connection: sqlite3.Connection = request.app.state.catalogue
    row = connection.execute("SELECT id, name, category, cents FROM product WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return Product(id=row[0], name=row[1], category=row[2], cents=row[3])


async def orders(number: int, request: Request) -> list[Order]:
    """List the orders of a customer: the request that waits for one of a few connections."""
    pool: ConnectionPool = request.app.state.pool
    async with pool.checkout() as connection:
        return await run_in_threadpool(_read_orders, connection, number)


async def sales_report(request: Request) -> list[Sales]:
    """Compute statistics of the sales: the request that keeps the processor busy."""
    connection: sqlite3.Connection = request.app.state.catalogue
    amounts: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for category, month, cents in connection.execute(_SALES, (REPORTED_ORDERS,)):
        amounts[category, month].append(cents)
    return [_sales(category, month, values) for (category, month), values in sorted(amounts.items())]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    path = Path(os.environ[DATABASE])
    app.state.pool = ConnectionPool(path, POOL_SIZE)
    app.state.catalogue = sqlite3.connect(path)
    # A full collection walks all that the libraries made, some 30 ms with every request waiting, once a second here.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        app.state.pool.close()
        app.state.catalogue.close()


def _read_orders(connection: sqlite3.Connection, customer: int) -> list[Order]:
    items: defaultdict[tuple[int, int], list[Item]] = defaultdict(list)
    for number, month, name, quantity, cents in connection.execute(_ORDERS, (customer, LISTED_ORDERS)):
        items[number, month].append(Item(product=name, quantity=quantity, cents=quantity * cents))
    return [
        Order(id=number, month=month, items=lines, total=sum(line.cents for line in lines))
        for (number, month), lines in items.items()
    ]


def _sales(category: str, month: int, cents: list[int]) -> Sales:
    return Sales(
        category=category,
        month=month,
        total=sum(cents),
        mean=fmean(cents),
        median=median(cents),
        deviation=pstdev(cents),
    )
