"""Identifiers: a prefix that says what it is, and 80 random bits."""

from __future__ import annotations

import random
import re
import secrets

CALL_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""A call id that is taken over from a request; anything else is replaced."""


def new_call_id() -> str:
    """Of a call. One is made for every request, and it opens nothing: no system call for it."""
    return f"call-{random.getrandbits(80):020x}"


def new_id(prefix: str) -> str:
    """For example `fn-9f8c…`: prefixes are `fn`, `inst`, `call`, `wrk`, `req`, `tok`."""
    return f"{prefix}-{secrets.token_hex(10)}"
