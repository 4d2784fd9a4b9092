"""etcd's v3 API as JSON over HTTP: calls and streams, on whichever endpoint answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aether.adapters.etcd.answers import UNAUTHENTICATED, Refused, away, checked, result_of
from aether.adapters.etcd.connection import BROKEN, Connection, Endpoint

CONNECT_WITHIN_S = 2.0
CALLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Credentials:
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, password='***')"


class JsonGateway:
    """Raises StoreUnavailable when no endpoint answers in time, and Refused."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        credentials: Credentials | None = None,
        tls: ssl.SSLContext | None = None,
        call_within_s: float = 5.0,
    ) -> None:
        """`tls`: for https endpoints; the system's own authorities without one."""
        self._endpoints = [Endpoint.parse(url) for url in endpoints]
        if not self._endpoints:
            raise ValueError("no etcd endpoint was given")
        secure = any(endpoint.tls for endpoint in self._endpoints)
        self._tls = tls or (ssl.create_default_context() if secure else None)
        self._credentials = credentials
        self._token = ""
        self._call_within_s = call_within_s
        self._idle: list[Connection] = []
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)

    async def call(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """`name` as in the path: `kv/put`."""
        try:
            async with asyncio.timeout(self._call_within_s), self._turns:
                try:
                    return await self._call(name, request)
                except Refused as refused:
                    if refused.grpc_code != UNAUTHENTICATED or self._credentials is None:
                        raise
                    self._token = ""
                    return await self._call(name, request)
        except TimeoutError:
            raise away(name, f"no answer within {self._call_within_s:g} s") from None

    async def stream(self, name: str, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Results as they come, until the stream is closed or breaks, which raises StoreUnavailable.

        It breaks, too, when the member that serves it has lost the others.
        """
        headers = await self._headers() | {"Grpc-Metadata-Hasleader": "true"}
        connection = await self._connected(name)
        begun = False
        try:
            body = json.dumps(request).encode()
            async with aclosing(connection.stream(f"/v3/{name}", body, headers)) as lines:
                while not begun:
                    async with asyncio.timeout(self._call_within_s):
                        line = await anext(lines)
                    if line.strip():
                        yield result_of(name, json.loads(line))
                        begun = True
                while True:
                    line = await anext(lines)
                    if line:
                        yield result_of(name, json.loads(line))
        except Refused as refused:
            if refused.grpc_code == UNAUTHENTICATED:
                self._token = ""
            raise
        except (StopAsyncIteration, *BROKEN) as error:
            self._avoid(connection)
            raise away(name, f"the stream broke: {error!r}") from error
        finally:
            connection.abort()

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    async def _call(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        headers = await self._headers()
        return checked(name, await self._post(name, request, headers))

    async def _headers(self) -> dict[str, str]:
        if self._credentials is None:
            return {}
        if not self._token:
            asked = {"name": self._credentials.user, "password": self._credentials.password}
            answer = checked("auth/authenticate", await self._post("auth/authenticate", asked, {}))
            self._token = answer["token"]
        return {"Authorization": self._token}

    async def _post(self, name: str, request: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
        body = json.dumps(request).encode()
        while True:
            async with self._connection(name) as connection:
                kept = connection.used
                try:
                    return (await connection.post(f"/v3/{name}", body, headers))[1]
                except BROKEN as error:
                    # Nothing that is asked here does harm when it is done twice.
                    if not kept:
                        raise away(name, repr(error)) from error

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[Connection]:
        connection = self._kept() or await self._connected(name)
        try:
            yield connection
        except BaseException:
            self._avoid(connection)
            raise
        if connection.used and not connection.at_end:
            self._idle.append(connection)
        else:
            connection.abort()

    def _avoid(self, connection: Connection) -> None:
        """It broke, or took too long: others are tried before its endpoint."""
        connection.abort()
        self._endpoints.sort(key=lambda endpoint: endpoint == connection.endpoint)
        for idle in [idle for idle in self._idle if idle.endpoint == connection.endpoint]:
            self._idle.remove(idle)
            idle.abort()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.at_end:
                return connection
            connection.abort()
        return None

    async def _connected(self, name: str) -> Connection:
        """To the first endpoint that can be reached, which is the first to be tried from then on."""
        reasons = []
        for endpoint in list(self._endpoints):
            try:
                async with asyncio.timeout(CONNECT_WITHIN_S):
                    connection = await Connection.open(endpoint, self._tls)
            except (TimeoutError, *BROKEN) as error:
                reasons.append(f"{endpoint}: {error or 'no answer'}")
            else:
                self._endpoints.sort(key=lambda other: other != endpoint)
                return connection
        raise away(name, "; ".join(reasons))
