"""Asking a function for a sign of life, on a connection of its own."""

from __future__ import annotations

import asyncio
import re

PROBE_HEADER = b"x-aether-probe"
"""What our bootstraps answer themselves, from the event loop: the function does not see it."""
HEAD_LIMIT_BYTES = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r]")
_WELL = range(200, 400)
_INTERIM = range(100, 200)


class NoAnswer(Exception):
    """Why there was none: told to users."""


async def status_of_health(address: tuple[str, int], path: str) -> int:
    """GET `path`; the answer's status. Raises NoAnswer. Waits without limit: the caller has one."""
    host, port = address
    head = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: aether-health\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    answer = await _ask(address, head.encode("latin-1", "replace"))
    status = _STATUS.match(answer)
    if status is None:
        raise NoAnswer("it closed the connection" if not answer else "it answered with no HTTP")
    return int(status[1])


def is_well(status: int) -> bool:
    return status in _WELL


async def sign_of_life(address: tuple[str, int], health_path: str) -> None:
    """Return when the function's event loop has done anything about a request. Waits without limit.

    Any answer will do, and a closed connection too: who is overloaded, or says that it is not well,
    does not hang. Without a `health_path` it is our bootstrap that is asked.
    """
    if health_path:
        try:
            await status_of_health(address, health_path)
        except NoAnswer:
            return
        return
    host, port = address
    head = b"OPTIONS * HTTP/1.1\r\nHost: %b:%d\r\n%b: 1\r\nConnection: close\r\n\r\n"
    try:
        await _ask(address, head % (host.encode(), port, PROBE_HEADER))
    except NoAnswer:
        return


async def _ask(address: tuple[str, int], head: bytes) -> bytes:
    """What comes until a response's first line is whole, less interim ones; b'' if it was closed at once."""
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError as error:
        raise NoAnswer(f"it could not be reached ({error.strerror or error})") from None
    try:
        writer.write(head)
        return await _first_line(reader)
    except OSError as error:
        raise NoAnswer(f"it broke the connection ({error.strerror or error})") from None
    finally:
        writer.transport.abort()


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while data := await reader.read(HEAD_LIMIT_BYTES):
        answer += data
        while (status := _STATUS.match(answer)) is not None and int(status[1]) in _INTERIM:
            _, end, rest = answer.partition(b"\r\n\r\n")
            if not end:
                break
            answer = rest
        if b"\n" in answer and (status is None or int(status[1]) not in _INTERIM):
            break
        if len(answer) > HEAD_LIMIT_BYTES:
            break
    return answer
