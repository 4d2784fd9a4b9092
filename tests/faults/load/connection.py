"""One kept connection of a client, and what was seen on it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import h11
from tests.faults.load.request import LoadRequest

MAX_EVENT_BYTES = 1 << 20


@dataclass(slots=True)
class Seen:
    """What came back for one request. Times are `time.monotonic()`."""

    due_s: float
    """When it was to be sent: what it took is counted from here."""
    sent_s: float = 0.0
    ended_s: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    """The framing says that the answer is complete."""
    fault: str = ""
    """What went wrong with the exchange, if something did."""
    broke_off: bool = False
    """The connection ended in the middle of the answer."""
    refused: bool = False
    """No connection was to be had: it was never sent."""
    surplus: bytes = b""
    """What came after the answer without having been asked for."""


class _Wire(asyncio.Protocol):
    """Bytes as they come, and how it ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: str | None = None
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def eof_received(self) -> None:
        self._end("closed")

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"reset ({error})" if error else "closed")

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def _end(self, how: str) -> None:
        self.ended = self.ended or how
        self.news.set()
        self.room.set()


class Connection:
    """Takes one request at a time. `open` raises OSError when there is none to be had."""

    def __init__(self, transport: asyncio.Transport, wire: _Wire, host: str) -> None:
        self._transport = transport
        self._wire = wire
        self._host = host
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_EVENT_BYTES)

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(_Wire, host, port)
        return cls(transport, wire, f"{host}:{port}")

    @property
    def usable(self) -> bool:
        """It can take another request."""
        states = {self._http.our_state, self._http.their_state}
        return self._wire.ended is None and states in ({h11.IDLE}, {h11.DONE})

    @property
    def unasked(self) -> bytes:
        """What came while nothing was asked: an answer too many."""
        return bytes(self._wire.received)

    def abort(self) -> None:
        self._transport.abort()

    async def send(self, request: LoadRequest, prefix: str, *, whole: bool = True) -> None:
        """Write the request, or half of its body only. h11 has to be in a state to do so."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        head = h11.Request(
            method=request.method, target=prefix + request.path, headers=request.fields(self._host)
        )
        data = self._http.send(head) or b""
        body = request.body if whole else request.body[: len(request.body) // 2]
        if body:
            data += self._http.send(h11.Data(body)) or b""
        if whole:
            data += self._http.send(h11.EndOfMessage()) or b""
        self._transport.write(data)
        await self._wire.room.wait()

    async def exchange(self, request: LoadRequest, prefix: str, seen: Seen, within_s: float) -> None:
        """Send and read into `seen`; never raises for what the other side does."""
        seen.sent_s = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                await self.send(request, prefix)
                await self._read(seen)
        except TimeoutError:
            seen.fault = f"nothing whole within {within_s:.1f} s"
        except h11.RemoteProtocolError as error:
            seen.fault = f"{self._wire.ended or 'malformed'}: {error}"
            seen.broke_off = seen.status > 0 and self._wire.ended is not None
        except ConnectionError as error:
            seen.fault = str(error)
            seen.broke_off = seen.status > 0
        seen.ended_s = time.monotonic()
        if seen.whole:
            seen.surplus = self._http.trailing_data[0] + self.unasked

    async def _read(self, seen: Seen) -> None:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._feed()
            elif isinstance(event, h11.Response):
                seen.status = event.status_code
                seen.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                seen.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                seen.whole = True
                return
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed without an answer")

    async def _feed(self) -> None:
        """Give h11 what is new; its end too, unless it was a reset: that ends no answer well."""
        wire = self._wire
        while not wire.received and wire.ended is None:
            wire.news.clear()
            await wire.news.wait()
        if wire.received:
            data = bytes(wire.received)
            wire.received.clear()
            self._http.receive_data(data)
        elif wire.ended == "closed":
            self._http.receive_data(b"")
        else:
            raise ConnectionError(str(wire.ended))
