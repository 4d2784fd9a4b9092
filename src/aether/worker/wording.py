"""How the proxy of an instance puts what went wrong."""

from __future__ import annotations

import json

from aether.domain.errors import AetherError
from aether.http import Answer, Request


def error_answer(error: AetherError, request: Request | None, unanswered: str = "") -> Answer:
    """With a header that gateways know it by: a function can forge the body alone.

    `unanswered`: the request may fare better elsewhere, in `ends.elsewhere`'s words.
    """
    answer = json_answer(error.status, error.body(call_id(request)))
    answer.headers = (("X-Aether-Error", _header_text(f"{error.code}: {error.message}")),)
    if unanswered:
        answer.headers += (("X-Aether-Unanswered", unanswered),)
    return answer


def refusal(why: str) -> Answer:
    """What gateways take elsewhere: the function has not seen the request."""
    body: dict[str, object] = {
        "error": {"code": "refused", "message": f"the instance is {why}", "component": "worker"}
    }
    answer = json_answer(503, body)
    answer.headers = (("X-Aether-Refused", why), ("Retry-After", "1"))
    return answer


def json_answer(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(body).encode())


def call_id(request: Request | None) -> str | None:
    told = request.header(b"x-call-id") if request is not None else None
    return told.decode("latin-1") if told else None


def _header_text(text: str) -> str:
    """The guest has a say in what this holds: nothing but printable ASCII gets into a header."""
    return "".join(c if " " <= c <= "~" else " " for c in text[:500])
