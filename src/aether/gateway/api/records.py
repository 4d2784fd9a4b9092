"""What a function has done and is doing: invocations, instances, output."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from aether.domain.ids import CALL_ID
from aether.domain.instance import Instance
from aether.domain.worker import Worker
from aether.gateway.api.answers import problems
from aether.gateway.api.dependencies import ApiDependencies, Deps
from aether.gateway.api.functions import FunctionId, find
from aether.gateway.api.paging import Cursor, Limit, page
from aether.gateway.api.times import QueryTime
from aether.gateway.api.views import InstanceView, InvocationView, LogView
from aether.ports.feed import Feed
from aether.ports.function_logs import LogRecord

router = APIRouter(prefix="/api/functions", tags=["functions"])

_PAGE = 100
_LOG_LINES = 200
_KEEP_ALIVE_S = 15.0
"""A comment this often shows proxies in between that a quiet stream lives."""

CallId = Annotated[
    str | None, Query(pattern=f"^{CALL_ID.pattern}$", description="Only what this call printed")
]
# Not in OpenAPI, which before 3.2 has no word for an answer that does not end: a client made from
# it, or a test, would wait for ever. The call's description tells of it.
Follow = Annotated[Literal["", "1", "true", "0", "false"], Query(include_in_schema=False)]


@router.get("/{function_id}/invocations", responses=problems(404))
async def list_invocations(
    *,
    function_id: FunctionId,
    deps: Deps,
    request: Request,
    response: Response,
    limit: Limit = _PAGE,
    cursor: Cursor = None,
) -> list[InvocationView]:
    """Calls that ended, newest first."""
    function = await find(deps, function_id)
    found = await deps.invocations.list(function.id, limit + 1, cursor)
    return [InvocationView.of(invocation) for invocation in page(request, response, found, limit)]


@router.get("/{function_id}/instances", responses=problems(404))
async def list_instances(function_id: FunctionId, deps: Deps) -> list[InstanceView]:
    """What runs it right now."""
    function = await find(deps, function_id)
    entries = (await deps.registry.view()).entries.values()
    loads = {
        instance_id: load
        for worker in entries
        if isinstance(worker, Worker)
        for instance_id, load in worker.instances.items()
    }
    return [
        InstanceView.of(entry, loads.get(entry.instance_id))
        for entry in entries
        if isinstance(entry, Instance) and entry.function_id == function.id
    ]


@router.get(
    "/{function_id}/logs",
    responses=problems(404),
    response_model=list[LogView],
)
async def read_logs(
    *,
    function_id: FunctionId,
    deps: Deps,
    limit: Limit = _LOG_LINES,
    since: Annotated[QueryTime | None, Query(description="Not older than this")] = None,
    call_id: CallId = None,
    follow: Follow = "false",
) -> Response | list[LogView]:
    """What its instances printed, oldest first.

    With `?follow` it goes on until the platform stops: these lines, then each one as it comes, as
    server-sent events.
    """
    function = await find(deps, function_id)
    if follow in ("", "1", "true"):
        events = _follow(deps, function.id, limit, since, call_id)
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
    return [LogView.of(record) for record in await deps.logs.tail(function.id, limit, since, call_id)]


async def _follow(
    deps: ApiDependencies, function_id: str, limit: int, since: datetime | None, call_id: str | None
) -> AsyncIterator[bytes]:
    """The tail, then every line from then on: none missing between the two, and none twice."""
    async with aclosing(deps.logs.follow(function_id)) as lines, _closed_by(deps.stopping, lines):
        tail = await deps.logs.tail(function_id, limit, since, call_id)
        for record in tail:
            yield _event(LogView.of(record))
        # Objects are the same where the logs are in this process; equal where they are not.
        seen = set(tail)
        while True:
            try:
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    record = await anext(lines)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            except StopAsyncIteration:
                return
            with suppress(KeyError):
                seen.remove(record)
                continue
            wanted = call_id is None or record.call_id == call_id
            if wanted and (since is None or record.at >= since):
                yield _event(LogView.of(record))


@asynccontextmanager
async def _closed_by(stopping: asyncio.Event, lines: Feed[LogRecord]) -> AsyncIterator[None]:
    """A stop waits for answers to end, and this one has no other end."""

    async def close() -> None:
        await stopping.wait()
        await lines.aclose()

    closing = asyncio.ensure_future(close())
    try:
        yield
    finally:
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)


def _event(line: LogView) -> bytes:
    return f"data: {line.model_dump_json()}\n\n".encode()
