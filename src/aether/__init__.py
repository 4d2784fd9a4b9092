"""Aether: functions as a service, every instance in a microVM of its own."""

__version__ = "0.1.0"
