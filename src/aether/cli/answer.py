"""What `aether invoke` shows of an answer, piece by piece as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain

import httpx

from aether.cli.failures import CommandFailed, FunctionAnswered
from aether.cli.refusal import LOOKED_AT_BYTES, platform_error

FIRST_ERROR_STATUS = 400


def print_answer(answer: httpx.Response, name: str, *, include: bool) -> CommandFailed | None:
    """Body, and head before it if asked for, on stdout; gives what went wrong, if anything did.

    An error of the platform is not printed: it is returned.
    """
    out = sys.stdout.buffer
    if include:
        _print_head(answer)
    body, start = answer.iter_raw(), b""
    content_type = answer.headers.get("content-type", "")
    if answer.status_code >= FIRST_ERROR_STATUS and content_type.startswith("application/json"):
        start, whole = _start(body, LOOKED_AT_BYTES)
        refused = platform_error(answer.status_code, content_type, start) if whole else None
        if refused is not None:
            if refused.call_id:
                # By which the platform's log has more of it.
                refused.message = f"{refused.message} (call {refused.call_id})"
            return refused
    last = b"\n"
    for last in chain([start] if start else [], body):
        out.write(last)
        out.flush()
    if out.isatty() and not last.endswith(b"\n"):
        # The shell's prompt would stand behind the answer. Anything but a terminal gets just its bytes.
        out.write(b"\n")
        out.flush()
    if answer.status_code < FIRST_ERROR_STATUS:
        return None
    return FunctionAnswered(
        f"{name} answered with status {answer.status_code}.", hint=f"Its output: aether logs {name}"
    )


def _start(body: Iterator[bytes], limit_bytes: int) -> tuple[bytes, bool]:
    """The first pieces of a body, and whether they are all of it."""
    start = b""
    for piece in body:
        start += piece
        if len(start) > limit_bytes:
            return start, False
    return start, True


def _print_head(answer: httpx.Response) -> None:
    out = sys.stdout.buffer
    out.write(f"{answer.http_version} {answer.status_code} {answer.reason_phrase}\r\n".encode())
    for name, value in answer.headers.raw:
        out.write(name + b": " + value + b"\r\n")
    out.write(b"\r\n")
    out.flush()
