"""`/api/functions`: make, list, read, change, remove."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from aether.domain.errors import FunctionNotFound
from aether.domain.function import Function
from aether.gateway.api.answers import problems
from aether.gateway.api.changes import VERSION_FIELDS
from aether.gateway.api.dependencies import ApiDependencies, Changes, Deps
from aether.gateway.api.models import FunctionCreate, FunctionUpdate
from aether.gateway.api.paging import MAX_PAGE, Cursor, Limit, page
from aether.gateway.api.views import FunctionView

router = APIRouter(prefix="/api/functions", tags=["functions"])

FunctionId = Annotated[str, Path(description="An id (`fn-…`) or a name")]
ROLL_OUT_WITHIN_S = 10.0
"""Who changes what serves is answered when it does: callers of both see the change in order."""
_NAMEABLE = re.compile(r"[^\x00-\x1f\x7f]{1,255}")


async def find(deps: ApiDependencies, id_or_name: str) -> Function:
    """Raises FunctionNotFound, also for what no store could hold as a name."""
    require_nameable(id_or_name)
    return await deps.functions.get(id_or_name)


def _view(deps: ApiDependencies, function: Function) -> FunctionView:
    return FunctionView.of(function, deps.rollout(function))


async def rolled_out(deps: ApiDependencies, function: Function) -> bool:
    """Where an older version serves meanwhile, wait until this one does, or has failed.

    False when that takes long: the older one serves on.
    """
    try:
        async with asyncio.timeout(ROLL_OUT_WITHIN_S):
            await deps.rolled_out(function.id)
    except TimeoutError:
        return False
    return True


def require_nameable(id_or_name: str) -> None:
    if not _NAMEABLE.fullmatch(id_or_name) or not id_or_name.isprintable():
        raise FunctionNotFound("there is no function of that id or name")


@router.post("", status_code=201, responses=problems(409, 413, 507))
async def create_function(
    wanted: FunctionCreate, deps: Deps, changes: Changes, response: Response
) -> FunctionView:
    """Make a function; it can be called when it has code."""
    function = await changes.create(wanted.given())
    response.headers["Location"] = f"/api/functions/{function.id}"
    return _view(deps, function)


@router.get("", responses=problems())
async def list_functions(
    deps: Deps, request: Request, response: Response, limit: Limit = MAX_PAGE, cursor: Cursor = None
) -> list[FunctionView]:
    """All functions, oldest first."""
    found = await deps.functions.list(limit + 1, cursor)
    return [_view(deps, function) for function in page(request, response, found, limit)]


@router.get("/{function_id}", responses=problems(404))
async def get_function(function_id: FunctionId, deps: Deps) -> FunctionView:
    return _view(deps, await find(deps, function_id))


@router.put("/{function_id}", responses=problems(404, 409, 413, 507))
async def update_function(
    function_id: FunctionId, wanted: FunctionUpdate, deps: Deps, changes: Changes
) -> FunctionView:
    """Change fields. Where that changes what instances run, they are replaced, as by an upload of code."""
    require_nameable(function_id)
    function = await changes.update(function_id, wanted.given())
    if wanted.model_fields_set.intersection(VERSION_FIELDS):
        await rolled_out(deps, function)
    return _view(deps, function)


@router.post("/{function_id}/start", status_code=202, responses=problems(404, 409, 503))
async def start_function(function_id: FunctionId, deps: Deps) -> FunctionView:
    """Start an instance of the newest version ahead of any request; `rollout` tells how that goes."""
    function = await find(deps, function_id)
    deps.start(function)
    return _view(deps, function)


@router.delete("/{function_id}", status_code=204, responses=problems(404, 507))
async def delete_function(function_id: FunctionId, changes: Changes) -> None:
    """Remove a function with its code, its records and its output; its instances stop."""
    require_nameable(function_id)
    await changes.delete(function_id)
