"""The shop's database that the demonstration's service reads: made up, but always the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

DATABASE = "PERFGUARD_DEMO_DATABASE"
"""The variable in the environment that tells the service where it is."""

CUSTOMERS = 80
PRODUCTS = 300
ORDERS = 12_000
MONTHS = 24

_CATEGORIES = ("books", "garden", "kitchen", "music", "sport", "tools", "toys")

_SCHEMA = """
CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, category TEXT NOT NULL, cents INTEGER NOT NULL);
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, month INTEGER NOT NULL);
CREATE TABLE line (order_id INTEGER NOT NULL, product_id INTEGER NOT NULL, quantity INTEGER NOT NULL);
CREATE INDEX orders_by_customer ON orders (customer_id);
CREATE INDEX line_by_order ON line (order_id);
"""


def create_database(path: Path) -> None:
    """Write the database.

    Args:
        path: A file that does not exist yet.
    """
    chance = Random(7)
    connection = sqlite3.connect(path)
    try:
        connection.executescript(_SCHEMA)
        connection.executemany("INSERT INTO product VALUES (?, ?, ?, ?)", _products(chance))
        connection.executemany(
            "INSERT INTO customer VALUES (?, ?)", ((number, f"Customer {number}") for number in range(1, CUSTOMERS + 1))
        )
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", _orders(chance))
        connection.executemany("INSERT INTO line VALUES (?, ?, ?)", _lines(chance))
        connection.commit()
    finally:
        connection.close()


def _products(chance: Random) -> Iterator[tuple[int, str, str, int]]:
    for number in range(1, PRODUCTS + 1):
        category = chance.choice(_CATEGORIES)
        yield number, f"{category.capitalize()} no. {number}", category, chance.randrange(199, 19_999)


def _orders(chance: Random) -> Iterator[tuple[int, int, int]]:
    for number in range(1, ORDERS + 1):
        yield number, chance.randrange(1, CUSTOMERS + 1), chance.randrange(MONTHS)


def _lines(chance: Random) -> Iterator[tuple[int, int, int]]:
    for number in range(1, ORDERS + 1):
        for _ in range(chance.randrange(1, 6)):
            yield number, chance.randrange(1, PRODUCTS + 1), chance.randrange(1, 5)
