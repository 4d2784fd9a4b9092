"""Implementations of the ports, a package per technology."""
