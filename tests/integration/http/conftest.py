"""A relay on loopback between raw sockets: no other HTTP implementation takes part."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop
from tests.peers import WAIT_S, Peer

from aether.http import (
    Answer,
    Exchange,
    Failure,
    FailureKind,
    Forward,
    Limits,
    Relay,
    Request,
    Undelivered,
    Upstream,
)

STATUS = {FailureKind.DEADLINE: 504, FailureKind.BODY_TIMEOUT: 408, FailureKind.UNREACHABLE: 503}


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


class Recorder:
    """A handler that sends everything to `upstream` unless told otherwise, and keeps what it hears."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.options: dict[str, object] = {}
        self.decide: Callable[[Request], object] | None = None
        self.on_undelivered: Callable[[Exchange, Undelivered], object] | None = None
        self.failures: list[Failure] = []
        self.refusals: list[tuple[Request | None, int, str]] = []
        self.ended: asyncio.Queue[Exchange] = asyncio.Queue()
        self.undeliveries: list[Undelivered] = []

    def begin(self, request):
        return self.decide(request) if self.decide else self.forward(request)

    def forward(self, request):
        return Forward(self.upstream, request.target, **self.options)

    def undelivered(self, exchange, why):
        self.undeliveries.append(why)
        if self.on_undelivered:
            return self.on_undelivered(exchange, why)
        return Answer(503, why.detail.encode())

    def failed(self, exchange, failure):
        self.failures.append(failure)
        return Answer(STATUS.get(failure.kind, 502), f"{failure.kind} {failure.phase}".encode())

    def refused(self, request, status, reason):
        self.refusals.append((request, status, reason))
        return Answer(status, reason.encode())

    def finished(self, exchange):
        self.ended.put_nowait(exchange)


class Backend:
    """Accepts connections and hands them to the test in order."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []
        self._server: asyncio.Server | None = None
        self.upstream = Upstream()

    async def open(self) -> "Backend":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.upstream = Upstream(*self._server.sockets[0].getsockname())
        return self

    async def _accept(self, reader, writer) -> None:
        peer = Peer(reader, writer)
        self._all.append(peer)
        self._peers.put_nowait(peer)

    async def peer(self) -> Peer:
        async with asyncio.timeout(WAIT_S):
            return await self._peers.get()

    @property
    def accepted(self) -> int:
        return len(self._all)

    def stop_listening(self) -> None:
        assert self._server is not None
        self._server.close()

    async def close(self) -> None:
        self.stop_listening()
        for peer in self._all:
            peer.writer.transport.abort()
        for peer in self._all:
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()


class AddressedRelay(Relay):
    address: tuple[str, int]


@pytest.fixture
def handler() -> Recorder:
    return Recorder()


@pytest.fixture
async def backend(handler) -> AsyncIterator[Backend]:
    backend = await Backend().open()
    handler.upstream = backend.upstream
    yield backend
    await backend.close()


@pytest.fixture
async def relay(handler) -> AsyncIterator[Callable[..., Awaitable[Relay]]]:
    """Makes a relay with the given limits; its address is in `.address`."""
    relays = []
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))

    async def start(*, edge: bool = False, **limits: object) -> Relay:
        relay = AddressedRelay(handler, Limits(**limits), edge=edge)
        relay.address = await relay.listen("127.0.0.1")
        relays.append(relay)
        return relay

    yield start
    for each in relays:
        await each.close()
        assert each.in_flight == 0
    assert errors == []


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Relay], Awaitable[Peer]]]:
    peers = []

    async def connect(relay: Relay) -> Peer:
        peer = Peer(*await asyncio.open_connection(*relay.address))
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.writer.transport.abort()
        with contextlib.suppress(OSError):
            await peer.writer.wait_closed()
