"""What is around every call: its id, the key, a bound on its body, and an answer come what may."""

from __future__ import annotations

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aether.domain.errors import AetherError, TooLarge
from aether.domain.ids import CALL_ID, new_id
from aether.gateway.api.access import check_access
from aether.gateway.api.answers import answer

MAX_JSON_BYTES = 1 << 20
"""Of any body but an archive's; a function's description has at most 32 KiB of environment."""

_log = structlog.get_logger(__name__)


class Envelope:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, api_keys: frozenset[str] | None) -> None:
        self._app = app
        self._api_keys = api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-call-id", "")
        call_id = given if CALL_ID.fullmatch(given) else new_id("call")
        scope.setdefault("state", {})["call_id"] = call_id
        started = False

        async def send_with_call_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Call-Id"] = call_id
            await send(message)

        with structlog.contextvars.bound_contextvars(call_id=call_id):
            try:
                check_access(scope["path"], headers, self._api_keys)
                await self._app(scope, _bounded(scope, headers, receive), send_with_call_id)
            except AetherError as error:
                await answer(error, call_id)(scope, receive, send_with_call_id)
            except Exception:
                _log.exception("management_call_failed", method=scope["method"], path=scope["path"])
                if started:
                    raise
                unexpected = AetherError(
                    "something went wrong", hint="the gateway's log has more under the call id"
                )
                await answer(unexpected, call_id)(scope, receive, send_with_call_id)


def _bounded(scope: Scope, headers: Headers, receive: Receive) -> Receive:
    """`receive` with a bound on the body, but for archives, whose own call bounds them."""
    if scope["method"] == "POST" and scope["path"].endswith("/code"):
        return receive
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_JSON_BYTES:
        raise TooLarge(f"the body is over {MAX_JSON_BYTES} bytes")
    received_bytes = 0

    async def receive_bounded() -> Message:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > MAX_JSON_BYTES:
            raise TooLarge(f"the body is over {MAX_JSON_BYTES} bytes")
        return message

    return receive_bounded
