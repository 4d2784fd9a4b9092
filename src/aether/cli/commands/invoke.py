"""`aether invoke`: call a function, as curl would."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO
from urllib.parse import quote

from cyclopts import Parameter

from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.failures import CommandFailed, FunctionAnswered, WrongUsage

if TYPE_CHECKING:
    import httpx

FIRST_ERROR_STATUS = 400
PIECE_BYTES = 64 * 1024


def invoke(
    name: str,
    path: str = "/",
    /,
    *,
    method: Annotated[str | None, Parameter(name=["--method", "-X"])] = None,
    header: Annotated[tuple[str, ...], Parameter(name=["--header", "-H"])] = (),
    data: Annotated[str | None, Parameter(name=["--data", "-d"], allow_leading_hyphen=True)] = None,
    include: Annotated[bool, Parameter(name=["--include", "-i"])] = False,
    timeout: float | None = None,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Call a function and print the body of its answer as it comes.

    Exit code 4 says that the function itself answered with status 400 or above, 1 that the
    platform could not have it answer.

    **Examples**

    ```
    aether invoke hello
    aether invoke hello '/greet?name=Ada' -i
    aether invoke hello /items -d '{"title": "tea"}' -H 'Content-Type: application/json'
    aether invoke resize -d @photo.jpg > small.jpg
    ```

    Parameters
    ----------
    name
        Name or id of the function.
    path
        Path and query that the function sees.
    method
        HTTP method. Default: GET, or POST with --data.
    header
        `Name: value`; may be given more than once.
    data
        Body of the request; `@FILE` sends a file, `@-` what comes on standard input.
    include
        Print status and headers of the answer first.
    timeout
        Seconds to wait for the answer to begin; can only shorten the function's own.
    """
    headers = [_header(text) for text in header]
    if timeout is not None:
        if timeout <= 0:
            raise WrongUsage("--timeout must be more than 0 seconds.")
        headers.append(("x-timeout-ms", str(round(timeout * 1000))))
    target = f"/functions/{quote(name, safe='')}/{path.removeprefix('/')}"
    method = method or ("GET" if data is None else "POST")
    with (
        connection.open() as client,
        _body(data) as content,
        client.call(method, target, headers=headers, content=content) as answer,
    ):
        _print_answer(answer, name, include=include)


def _print_answer(answer: httpx.Response, name: str, *, include: bool) -> None:
    from aether.cli.refusal import LOOKED_AT_BYTES, platform_error  # noqa: PLC0415 - imports httpx

    out = sys.stdout.buffer
    if include:
        _print_head(answer)
    body, start = answer.iter_raw(), b""
    content_type = answer.headers.get("content-type", "")
    if answer.status_code >= FIRST_ERROR_STATUS and content_type.startswith("application/json"):
        start, whole = _start(body, LOOKED_AT_BYTES)
        refused = whole and platform_error(answer.status_code, content_type, start)
        if refused:
            raise _told(refused)
    last = b"\n"
    for last in chain([start] if start else [], body):
        out.write(last)
        out.flush()
    if out.isatty() and not last.endswith(b"\n"):
        # The shell's prompt would stand behind the answer. Anything but a terminal gets just its bytes.
        out.write(b"\n")
        out.flush()
    if answer.status_code >= FIRST_ERROR_STATUS:
        raise FunctionAnswered(
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


def _told(refused: Any) -> CommandFailed:
    """The same error with its call id, by which the platform's log has more of it."""
    if refused.call_id:
        refused.message = f"{refused.message} (call {refused.call_id})"
    failed: CommandFailed = refused
    return failed


def _print_head(answer: httpx.Response) -> None:
    out = sys.stdout.buffer
    out.write(f"{answer.http_version} {answer.status_code} {answer.reason_phrase}\r\n".encode())
    for name, value in answer.headers.raw:
        out.write(name + b": " + value + b"\r\n")
    out.write(b"\r\n")
    out.flush()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise WrongUsage(f"{text!r} is no header.", hint="For example -H 'Accept: text/plain'")
    return name.strip(), value.strip()


@contextmanager
def _body(data: str | None) -> Iterator[bytes | Iterable[bytes] | None]:
    """Literal text, or a file or standard input, read as it is sent."""
    if data is None or not data.startswith("@"):
        yield None if data is None else data.encode(errors="surrogateescape")
    elif data == "@-":
        yield _pieces(sys.stdin.buffer)
    else:
        path = Path(data[1:])
        with path.open("rb") as file:
            # Only a plain file has a length to announce; of anything else it is 0.
            yield file if path.is_file() else _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
