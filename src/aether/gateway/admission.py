"""What becomes a call: the function has code, the body may have its size, the deadline is one."""

from __future__ import annotations

from datetime import datetime

from aether.domain.deadline import Deadline
from aether.domain.errors import NoCode
from aether.domain.function import FunctionConfig
from aether.domain.ids import new_call_id
from aether.gateway.call import Call
from aether.gateway.own_fields import shortened, to_drop
from aether.gateway.platform_errors import BodyTooLarge
from aether.gateway.routes import RouteTable
from aether.http import Request
from aether.ports.clock import Clock

_NOTHING: frozenset[bytes] = frozenset()


class Admission:
    """Makes calls of requests."""

    def __init__(
        self, routes: RouteTable, clock: Clock, *, api_keys: frozenset[bytes], max_body_bytes: int | None
    ) -> None:
        self._routes = routes
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self._authorizations = frozenset(b"Bearer " + key for key in api_keys)

    def call(
        self,
        request: Request,
        call_id: str,
        function: FunctionConfig,
        target: bytes,
        now: datetime,
        *,
        plain: bool,
    ) -> Call:
        """`plain` requests have none of our own fields. Raises NoCode, BadRequest, BodyTooLarge."""
        if self._max_body_bytes is not None and (request.length or 0) > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes)
        if not function.has_code(self._routes.serving(function)):
            raise NoCode(
                f"{function.name} has no code yet",
                hint=f"upload some: POST /api/functions/{function.id}/code",
            )
        now_s = self._clock.monotonic()
        deadline = Deadline(now_s + function.limits.timeout_s)
        return Call(
            request,
            function,
            call_id=call_id,
            # A caller may use its id again, on retries say: each try is a call of its own.
            record_id=call_id if plain or request.header(b"x-call-id") is None else new_call_id(now),
            target=target,
            deadline=deadline if plain else shortened(deadline, request, now_s),
            started_at=now,
            drop=_NOTHING if plain else to_drop(request, self._authorizations),
        )
