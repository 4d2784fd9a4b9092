"""`aether invoke`: call a function, as curl would."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from cyclopts import Parameter

from aether.cli import output
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.failures import CommandFailed, WrongUsage
from aether.cli.request_body import Body, request_body
from aether.cli.timing import Phase, server_timing, summary, waterfall

if TYPE_CHECKING:
    from aether.cli.client import Client


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent, each time."""

    name: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: Callable[[], AbstractContextManager[Body]]


@dataclass(frozen=True, slots=True)
class Called:
    """How one went, as seen from here."""

    status: int
    head_ms: float
    total_ms: float
    phases: Sequence[Phase]
    """As the platform told them."""
    failed: CommandFailed | None


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
    show_timing: bool = False,
    repeat: int = 1,
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
    aether invoke hello --show-timing
    aether invoke hello --repeat 100 > /dev/null
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
    show_timing
        Draw on standard error where the time went, by the answer's `Server-Timing`.
    repeat
        Call it so many times, one after the other, and tell minimum, median, p95 and maximum.
    """
    if repeat < 1:
        raise WrongUsage("--repeat must be 1 or more.")
    headers = [_header(text) for text in header]
    if timeout is not None:
        if timeout <= 0:
            raise WrongUsage("--timeout must be more than 0 seconds.")
        headers.append(("x-timeout-ms", str(round(timeout * 1000))))
    call = Call(
        name,
        method or ("GET" if data is None else "POST"),
        f"/functions/{quote(name, safe='')}/{path.removeprefix('/')}",
        headers,
        request_body(data, times=repeat),
    )
    with connection.open() as client:
        done = _calls(client, call, repeat, include=include, show_timing=show_timing)
    if repeat > 1:
        _tell_summary(done)
    failures = [called.failed for called in done if called.failed is not None]
    if failures:
        raise failures[-1]


def _calls(client: Client, call: Call, repeat: int, *, include: bool, show_timing: bool) -> list[Called]:
    done = []
    for _ in range(repeat):
        called = _once(client, call, include=include)
        done.append(called)
        if show_timing:
            _tell_timing(called)
    return done


def _once(client: Client, call: Call, *, include: bool) -> Called:
    from aether.cli.answer import print_answer  # noqa: PLC0415 - imports httpx

    began = time.perf_counter()
    with (
        call.body() as content,
        client.call(call.method, call.target, headers=call.headers, content=content) as answer,
    ):
        head_ms = (time.perf_counter() - began) * 1000
        failed = print_answer(answer, call.name, include=include)
        total_ms = (time.perf_counter() - began) * 1000
    phases = server_timing(answer.headers.get_list("server-timing"))
    return Called(answer.status_code, head_ms, total_ms, phases, failed)


def _tell_timing(called: Called) -> None:
    told_ms = sum(duration for _, duration in called.phases)
    phases = [
        *called.phases,
        ("network", max(0.0, called.head_ms - told_ms)),
        ("body", called.total_ms - called.head_ms),
    ]
    sys.stdout.flush()
    for line in waterfall(phases, encoding=sys.stderr.encoding):
        output.say(line)
    output.say(f"total {called.total_ms:.1f} ms, answered {called.status}")


def _tell_summary(done: Sequence[Called]) -> None:
    statuses = Counter(called.status for called in done)
    told = ", ".join(f"{count} answered {status}" for status, count in sorted(statuses.items()))
    sys.stdout.flush()
    output.say(f"{len(done)} calls: {summary([called.total_ms for called in done])}; {told}")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise WrongUsage(f"{text!r} is no header.", hint="For example -H 'Accept: text/plain'")
    return name.strip(), value.strip()
