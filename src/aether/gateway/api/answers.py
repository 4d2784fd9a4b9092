"""Errors as answers, in the one form that the wire contract has for them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from aether.domain.errors import AetherError, InvalidRequest, NotFound
from aether.gateway.api.models import FunctionUpdate
from aether.gateway.api.views import ErrorView

_KNOWN_FIELDS = tuple(FunctionUpdate.model_fields)
_DESCRIPTIONS = {
    400: "A field or the body is wrong: `fields` says which",
    401: "A key is needed",
    403: "The key may not do that",
    404: "There is no such function, worker or page",
    409: "The name is taken",
    413: "Too large",
    500: "The platform's own mistake; its log has more under the call id",
    503: "A store that this call needs is away",
    507: "The disk is full",
}


class MethodNotAllowed(AetherError):
    code, status = "method_not_allowed", 405


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: the errors it may answer with, beside those of any call."""
    return {
        status: {"model": ErrorView, "description": _DESCRIPTIONS[status]}
        for status in sorted({400, 401, 403, 500, 503, *statuses})
    }


def answer(error: AetherError, call_id: str | None) -> JSONResponse:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:  # noqa: PLR2004 - RFC 9110 asks for the header with that status
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body(call_id), status_code=error.status, headers=headers)


def install_answers(app: FastAPI) -> None:
    app.add_exception_handler(AetherError, _on_aether_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)


def _call_id(request: Request) -> str | None:
    call_id: str | None = getattr(request.state, "call_id", None)
    return call_id


def _on_aether_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AetherError)
    return answer(error, _call_id(request))


def _on_http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown paths and methods, and a body that could not be read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, AetherError):
        return answer(error.__cause__, _call_id(request))
    if error.status_code == 405:  # noqa: PLR2004 - the status it is raised with
        return _method_not_allowed(request)
    if error.status_code == 404:  # noqa: PLR2004 - the same
        return answer(
            NotFound(f"there is nothing at {request.url.path!r}", hint="see /docs"), _call_id(request)
        )
    return answer(InvalidRequest("the body can't be read as JSON"), _call_id(request))


def _method_not_allowed(request: Request) -> Response:
    """With all methods of the path: Starlette names only those of the first route that has it."""
    allowed = sorted(
        method.upper()
        for template, methods in request.app.state.methods.items()
        if compile_path(template)[0].match(request.url.path)
        for method in methods
    )
    error = MethodNotAllowed(f"{request.method} can't be used there", hint=f"allowed: {', '.join(allowed)}")
    response = answer(error, _call_id(request))
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields: dict[str, str] = {}
    whole = ""
    for problem in error.errors():
        place = [str(part) for part in problem["loc"][1:] if part != "[key]"]
        if problem["type"] == "json_invalid":
            whole = f"the body is not JSON: {problem['ctx']['error']} at byte {problem['loc'][1]}"
        elif not place:
            whole = "the body must be a JSON object, sent as application/json"
        else:
            fields.setdefault(".".join(place), _complaint(problem, place))
    message = whole or "wrong: " + ", ".join(fields)
    return answer(InvalidRequest(message, fields=fields), _call_id(request))


def _complaint(problem: dict[str, Any], place: Sequence[str]) -> str:
    kind: str = problem["type"]
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(place[-1], _KNOWN_FIELDS, n=1)
        return "is no field" + (f"; did you mean {close[0]}?" if close else "")
    if kind == "missing":
        return "is missing"
    message: str = problem["msg"]
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:] if message.startswith(("Should", "Must")) else message
