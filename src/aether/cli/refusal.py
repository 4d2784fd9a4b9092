"""Reading the platform's errors out of its answers."""

from __future__ import annotations

import json
from typing import Any

import httpx

from aether.cli.failures import ApiRefused, CommandFailed
from aether.cli.reaching import not_aether

LOOKED_AT_BYTES = 64 * 1024
"""A platform error is far smaller; a longer answer is a function's."""

KEY_HINT = (
    "Give the key with --key, AETHER_KEY or a profile, or point --data-dir at the platform's data directory."
)
HINTS = {
    "unauthenticated": KEY_HINT,
    "forbidden": KEY_HINT,
    "function_not_found": "See what is there: aether list",
    "no_code": "Upload some: aether deploy PATH --name NAME",
}


def platform_error(status: int, content_type: str, body: bytes) -> ApiRefused | None:
    """The error, if this is one by the wire contract; `component` tells it from a function's own."""
    if status < httpx.codes.BAD_REQUEST or not content_type.startswith("application/json"):
        return None
    try:
        error: Any = json.loads(body)["error"]
        return ApiRefused(
            status,
            code=str(error["code"]),
            message=str(error["message"]),
            # Ours are in terms of this command; the API's are for any client.
            hint=HINTS.get(error["code"]) or error.get("hint"),
            fields=error.get("fields"),
            # Required by the contract, and what tells the platform's errors from others'.
            call_id=error["call_id"] if error["component"] else None,
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def refusal(answer: httpx.Response) -> CommandFailed:
    """What to raise for an answer of the management API with status 400 or above."""
    body = answer.read()
    known = platform_error(answer.status_code, answer.headers.get("content-type", ""), body)
    return known or not_aether(str(answer.url), f"HTTP {answer.status_code} without its error format")
