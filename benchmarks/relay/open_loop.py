"""Requests at a fixed rate, sent when they are due whether or not others were answered.

Raw sockets and one epoll, in this process: each time is from when the request was due to the last byte
of its answer, so that a server that stalls is charged for those that had to wait.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque

HEAD = (
    b"GET %b/small?n=%d HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: open-loop\r\n"
    b"Accept: */*\r\nX-Request-Number: %d\r\n\r\n"
)
SPIN_S = 0.001
GIVE_UP_S = 10.0


class OpenLoop:
    """`rate` requests a second over kept connections to one port."""

    def __init__(self, port: int, prefix: str, rate: float) -> None:
        self._address = ("127.0.0.1", port)
        self._prefix = prefix.encode()
        self._interval_s = 1 / rate
        self._poll = select.epoll()
        self._idle: deque[socket.socket] = deque()
        self._waiting: dict[int, tuple[socket.socket, float, bytes]] = {}
        self._took_s: list[float] = []

    def run(self, seconds: float) -> list[float]:
        """Milliseconds of each. RuntimeError when an answer is not a 200, or does not come."""
        began = time.perf_counter()
        count = int(seconds / self._interval_s)
        try:
            for number in range(count):
                due_at = began + number * self._interval_s
                while (left := due_at - time.perf_counter()) > 0:
                    # epoll counts in whole milliseconds: the last one is spun away.
                    self._read(max(0.0, left - SPIN_S))
                self._send(number, due_at)
            self._finish()
        finally:
            self._close()
        return [took * 1000 for took in self._took_s]

    def _send(self, number: int, due_at: float) -> None:
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = socket.create_connection(self._address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(connection, select.EPOLLIN)
        self._waiting[connection.fileno()] = (connection, due_at, b"")
        connection.sendall(HEAD % (self._prefix, number, number))

    def _read(self, timeout_s: float) -> None:
        for fileno, _ in self._poll.poll(timeout_s):
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

    def _finish(self) -> None:
        give_up_at = time.perf_counter() + GIVE_UP_S
        while self._waiting:
            if time.perf_counter() > give_up_at:
                raise RuntimeError(f"{len(self._waiting)} requests were never answered")
            self._read(0.1)

    def _close(self) -> None:
        for connection in [*self._idle, *(waiting[0] for waiting in self._waiting.values())]:
            connection.close()
        self._poll.close()


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"not a 200: {head[:200]!r}")
    found = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(found)
