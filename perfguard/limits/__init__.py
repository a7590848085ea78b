"""Concurrency limits and what enforces them."""
