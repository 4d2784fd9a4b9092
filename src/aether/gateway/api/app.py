"""The application as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import aether
from aether.gateway.api import cluster, code, functions, health, records, status
from aether.gateway.api.answers import install_answers
from aether.gateway.api.changes import FunctionChanges
from aether.gateway.api.dependencies import ApiDependencies
from aether.gateway.api.docs_page import render
from aether.gateway.api.envelope import Envelope
from aether.gateway.api.openapi import describe, name_runtimes
from aether.gateway.api.upload import sweep_uploads
from aether.images.code_image import sweep

_BUILDS = 2
"""Images being made at once: each may use a gigabyte of memory and of disk."""
_DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def create_api(deps: ApiDependencies) -> FastAPI:
    """The management API over what it is given. Its ports stay their opener's to close."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(sweep, deps.work_dir)
        await asyncio.to_thread(sweep_uploads, deps.work_dir)
        yield

    app = FastAPI(
        title="Aether",
        version=aether.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.dependencies = deps
    app.state.changes = FunctionChanges(deps, deps.runtimes)
    app.state.builds = asyncio.Semaphore(_BUILDS)
    app.add_middleware(Envelope, api_keys=deps.api_keys)
    install_answers(app)
    for part in (functions, code, records, cluster, status, health):
        app.include_router(part.router)
    _add_documents(app, deps.runtimes)
    return app


def _add_documents(app: FastAPI, runtimes: Iterable[str]) -> None:
    document: dict[str, Any] = describe(app)
    name_runtimes(document, runtimes)

    async def openapi(_request: Request) -> Response:
        name_runtimes(document, runtimes)
        return JSONResponse(document)

    async def docs(_request: Request) -> Response:
        name_runtimes(document, runtimes)
        return HTMLResponse(render(document), headers={"Content-Security-Policy": _DOCS_POLICY})

    app.state.methods = document["paths"] | {"/openapi.json": ["get"], "/docs": ["get"]}
    app.add_route("/openapi.json", openapi, methods=["GET"])
    app.add_route("/docs", docs, methods=["GET"])
