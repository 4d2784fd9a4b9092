"""`/api/functions/{id}/code`: an archive becomes what the function runs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from aether.domain.rollout import Rollout, RolloutStatus
from aether.gateway.api.answers import problems
from aether.gateway.api.dependencies import Changes, Deps
from aether.gateway.api.functions import FunctionId, find, rolled_out
from aether.gateway.api.upload import received_archive
from aether.gateway.api.views import CodeView
from aether.images.code_image import build_code_image

router = APIRouter(prefix="/api/functions", tags=["functions"])

_BINARY = {"type": "string", "format": "binary"}
_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "X-Filename",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"},
            "description": "What a raw body is called in messages",
        }
    ],
    "requestBody": {
        "required": True,
        "description": "A zip or tar.gz",
        "content": {
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY}}
            },
        },
    },
}


@router.post("/{function_id}/code", responses=problems(404, 413, 507), openapi_extra=_BODY)
async def upload_code(function_id: FunctionId, request: Request, deps: Deps, changes: Changes) -> CodeView:
    """Upload code. Where instances run the code before, that serves until an instance of the new is ready;
    the answer comes then, or when the new code has failed to start, or after 10 seconds at most.
    """
    function = await find(deps, function_id)
    async with received_archive(request, deps.work_dir, deps.max_archive_bytes) as upload:
        async with request.app.state.builds:
            image = await build_code_image(
                upload.path, upload.filename, function.version.entrypoint, deps.work_dir, deps.archive_limits
            )
        try:
            current = await changes.put_code(function.id, image, upload.sha256)
        finally:
            image.path.unlink(missing_ok=True)
    decided = await rolled_out(deps, current)
    return CodeView(
        message=_message(current.name, deps.rollout(current), decided=decided),
        code_path=current.code_path,
        sha256=image.sha256,
        size_bytes=image.size_bytes,
        revision=current.version.revision,
    )


def _message(name: str, rollout: Rollout, *, decided: bool) -> str:
    if rollout.status is RolloutStatus.FAILED:
        return f"{name} does not start with this code: {rollout.reason}"
    if not decided:
        return f"{name} still runs the code before, until an instance of this is ready"
    return f"{name} runs this code from now on"
