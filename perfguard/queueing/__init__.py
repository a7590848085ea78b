"""The admission queue: its length, its order, and when it refuses."""

from perfguard.queueing.place import Place
from perfguard.queueing.queue import AdmissionQueue

__all__ = ["AdmissionQueue", "Place"]
