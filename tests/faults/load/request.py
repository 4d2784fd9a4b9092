"""A request that can be told from every other by its path, by a header and by its body."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN_HEADER = "x-token"
BODY_BYTES = (64, 2_000, 0, 20_000)
"""Of every second request, a POST, in turn; the others are GETs."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """`path` is what the function is to see of the target."""

    function: str
    token: str
    method: str
    path: str
    body: bytes
    tells_call_id: bool
    """The token is its X-Call-Id as well; else the gateway makes one."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def idempotent(self) -> bool:
        return self.method == "GET"

    def fields(self, host: str) -> list[tuple[str, str]]:
        fields = [("Host", host), (TOKEN_HEADER, self.token), *self.headers]
        if self.tells_call_id:
            fields.append(("X-Call-Id", self.token))
        if self.method == "POST":
            fields.append(("Content-Length", str(len(self.body))))
        return fields


def requests(function: str, headers: tuple[tuple[str, str], ...] = ()) -> Iterator[LoadRequest]:
    """Endless, half of them POSTs, half with a call id of their own."""
    for number in itertools.count():
        token = f"{function}-{number}-{secrets.token_hex(6)}"
        posts = number % 2 == 1
        size = BODY_BYTES[number // 2 % len(BODY_BYTES)] if posts else 0
        yield LoadRequest(
            function,
            token,
            "POST" if posts else "GET",
            f"/{token}?n={number}",
            (token.encode() * (size // len(token) + 1))[:size],
            tells_call_id=number % 4 < 2,
            headers=headers,
        )
