"""The OpenAPI document: FastAPI's, made true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI

OPEN_PATHS = ("/healthz", "/readyz")
_UNUSED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """With the key that calls need, and no 422, which is a 400 here."""
    document = FastAPI.openapi(app)
    schemas = document["components"]["schemas"]
    for name in _UNUSED:
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    return document


def name_runtimes(document: dict[str, Any], runtimes: Iterable[str]) -> None:
    """Those that there are just now: workers bring theirs."""
    for name in ("FunctionCreate", "FunctionUpdate"):
        document["components"]["schemas"][name]["properties"]["runtime"]["enum"] = sorted(runtimes)
