"""What the platform needs from outside, a Protocol per file.

The docstrings are the semantics that every adapter meets; `tests/contract` holds one class of
tests per port, run against each adapter with the real thing behind it.
"""
