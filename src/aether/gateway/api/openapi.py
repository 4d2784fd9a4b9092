"""The OpenAPI document: FastAPI's, made true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

OPEN_PATHS = ("/healthz", "/readyz")
_UNUSED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, runtimes: Sequence[str]) -> dict[str, Any]:
    """With the key that calls need, the runtimes there are, and no 422, which is a 400 here."""
    document = FastAPI.openapi(app)
    schemas = document["components"]["schemas"]
    for name in _UNUSED:
        schemas.pop(name, None)
    for name in ("FunctionCreate", "FunctionUpdate"):
        schemas[name]["properties"]["runtime"]["enum"] = sorted(runtimes)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    return document
