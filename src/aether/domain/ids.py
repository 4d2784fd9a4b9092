"""Identifiers: a prefix that says what it is, and random bits."""

from __future__ import annotations

import random
import re
import secrets
from datetime import datetime

CALL_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""A call id that is taken over from a request; anything else is replaced."""


def new_call_id(at: datetime | None = None) -> str:
    """Of a call. One is made for every request, and it opens nothing: no system call for it.

    Those of calls that began `at` a later time sort after earlier ones: their records go to the end of an
    index, not all over it.
    """
    if at is None:
        return f"call-{random.getrandbits(92):023x}"
    return f"call-{int(at.timestamp() * 1e6):013x}{random.getrandbits(40):010x}"


def new_id(prefix: str) -> str:
    """For example `fn-9f8c…`: prefixes are `fn`, `inst`, `call`, `wrk`, `req`, `tok`."""
    return f"{prefix}-{secrets.token_hex(10)}"
