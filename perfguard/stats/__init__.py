"""Counters and windows that decisions are drawn from."""
