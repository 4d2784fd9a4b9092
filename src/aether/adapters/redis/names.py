"""What lies where in Redis. The first three are the wire contract's, the others ours."""

from __future__ import annotations

SHARED = "queue:vm_provision"
REJECTED = "queue:vm_provision:rejected"
CODE_UPDATE = "channel:code_update"

OWNERS = "aether:jobs:owners"
"""Sorted set: who takes jobs, `{worker_id}/{random}`, by when it counts as dead, in Redis' milliseconds."""
TAKEN = "aether:jobs:taken:"
"""A hash for each owner: claim id to job."""
PLACED = "aether:jobs:placed"
"""Set: workers that jobs were placed on."""
REPLIES = "aether:replies:"
"""A stream for each name."""

LOGS = "aether:logs:"
"""A stream for each function: what it printed."""
LOG_USE = "aether:logs"
"""Sorted set: functions by when they printed last, in Redis' milliseconds."""
LOG_BYTES = "aether:log-bytes"
"""Hash: function to what its stream takes."""
LOG_TOTAL = "aether:log-bytes-total"


def placed_on(worker_id: str) -> str:
    return f"{SHARED}:{worker_id}"


def taken_by(owner: str) -> str:
    return f"{TAKEN}{owner}"


def replies_to(name: str) -> str:
    return f"{REPLIES}{name}"


def printed_by(function_id: str) -> str:
    return f"{LOGS}{function_id}"
