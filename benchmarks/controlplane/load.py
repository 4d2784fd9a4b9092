"""Each function called once, over raw sockets and one epoll in this process."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEAD = b"GET /functions/f%d/x HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\n\r\n"
SPIN_S = 0.001
GIVE_UP_S = 30.0


class Load:
    """Calls to the functions 0 to `functions` - 1 of the gateway at `port`."""

    def __init__(self, port: int, functions: int) -> None:
        self._address = ("127.0.0.1", port)
        self._functions = functions
        self._poll = select.epoll()
        self._idle: list[socket.socket] = []
        self._waiting: dict[int, tuple[socket.socket, float, bytes]] = {}
        self._took_s: list[float] = []

    def as_fast_as_it_goes(self, at_once: int) -> tuple[float, list[float]]:
        """With so many calls waiting at any time: seconds in all, and milliseconds of each."""
        began = time.perf_counter()
        numbers = iter(range(self._functions))
        with self._closing():
            for number, _ in zip(numbers, range(at_once), strict=False):
                self._send(number, time.perf_counter())
            while self._waiting:
                for _ in range(self._read(GIVE_UP_S, must=True)):
                    for number in numbers:
                        self._send(number, time.perf_counter())
                        break
        return time.perf_counter() - began, [took * 1000 for took in self._took_s]

    def at_rate(self, rate: float) -> tuple[float, list[float]]:
        """Sent when they are due, whether or not others were answered; each counts from when it was due."""
        began = time.perf_counter()
        with self._closing():
            for number in range(self._functions):
                due_at = began + number / rate
                while (left := due_at - time.perf_counter()) > 0:
                    # epoll counts in whole milliseconds: the last one is spun away.
                    self._read(max(0.0, left - SPIN_S))
                self._send(number, due_at)
            while self._waiting:
                self._read(GIVE_UP_S, must=True)
        return time.perf_counter() - began, [took * 1000 for took in self._took_s]

    def _send(self, number: int, due_at: float) -> None:
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = socket.create_connection(self._address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(connection, select.EPOLLIN)
        self._waiting[connection.fileno()] = (connection, due_at, b"")
        connection.sendall(HEAD % number)

    def _read(self, timeout_s: float, *, must: bool = False) -> int:
        """How many answers came. RuntimeError for one that is not a 200, or that never comes."""
        answered = 0
        ready = self._poll.poll(timeout_s)
        if must and not ready:
            raise RuntimeError(f"{len(self._waiting)} calls were never answered")
        for fileno, _ in ready:
            connection, due_at, before = self._waiting[fileno]
            data = before + connection.recv(65536)
            if data == before:
                raise RuntimeError("a connection was closed before its answer")
            if not _whole(data):
                self._waiting[fileno] = (connection, due_at, data)
                continue
            self._took_s.append(time.perf_counter() - due_at)
            del self._waiting[fileno]
            self._idle.append(connection)
            answered += 1
        return answered

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            for connection in [*self._idle, *(waiting[0] for waiting in self._waiting.values())]:
                connection.close()
            self._poll.close()


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not a 200: {data[:500]!r}")
    found = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(found)
