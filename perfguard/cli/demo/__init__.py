"""The demonstration: one service, without and with the guard, at rising load."""
