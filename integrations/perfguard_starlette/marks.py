"""What an endpoint says of itself, by the words that all integrations share."""

from perfguard.marks import Endpoint, Marks, checked, exempt, mark, marks_of, priority

__all__ = ["Endpoint", "Marks", "checked", "exempt", "mark", "marks_of", "priority"]
