"""One listening socket that several processes accept from, and what they tell each other in shared memory.

A socket of its own for each process (SO_REUSEPORT) would have the kernel deal connections out in advance:
those dealt to a process that ends, or hangs, are lost with it, or wait for it. From one queue whoever is free
takes the next, and what nobody has taken yet is nobody's loss.

The kernel wakes all who wait, and one of them most often wins: so who has more connections than others leaves
a new one to them, for a moment. Each process writes only its own part of the memory: no locks.
"""

import mmap
import socket

BACKLOG = 1024
_BUCKETS = 4096
_ROWS = 2
_CELLS = _ROWS * _BUCKETS
_INT = 4
_VACANT = -1
_END, _AT_ONCE = 1, 2
_SLACK = 2
"""Connections that a process may have more than another before it holds back."""


class PortShare:
    """Made by the process that starts the others; `listening` is bound, and listens when one is ready."""

    def __init__(self, listening: socket.socket, processes: int) -> None:
        self.listening = listening
        self.processes = processes
        self._memory = mmap.mmap(-1, _INT * (2 * (processes + 1) + _CELLS * processes))
        whole = memoryview(self._memory).cast("i")
        self.totals = whole[: processes + 1]
        """Connections of each process; the last number says whether all are to end, and at once."""
        self.ready = whole[processes + 1 : 2 * (processes + 1)]
        self.clients = whole[2 * (processes + 1) :]
        """Of each process connections by client, roughly: each has `_ROWS` counters, shared with others."""
        for index in range(processes):
            self.vacate(index)

    def vacate(self, index: int) -> None:
        """That process has ended: nobody waits for it, and its connections are gone."""
        self.totals[index] = _VACANT
        self.ready[index] = 0
        nothing = memoryview(bytes(_INT * _CELLS)).cast("i")
        self.clients[index * _CELLS : (index + 1) * _CELLS] = nothing

    def end(self, *, at_once: bool = False) -> None:
        """Whoever stops accepting from now on is not alone in it: nobody would take what waits."""
        self.totals[self.processes] = _AT_ONCE if at_once else _END


class Seat:
    """One process's part in it."""

    def __init__(self, share: PortShare, index: int) -> None:
        self._share = share
        self.index = index
        self.listening = share.listening
        self._first = index * _CELLS

    def sit_down(self) -> None:
        """Take connections from now on."""
        self.listening.listen(BACKLOG)
        self._share.totals[self.index] = 0
        self._share.ready[self.index] = 1

    @property
    def all_end(self) -> bool:
        return self._share.totals[self._share.processes] >= _END

    @property
    def at_once(self) -> bool:
        """What runs is not to be waited for."""
        return self._share.totals[self._share.processes] >= _AT_ONCE

    def is_my_turn(self) -> bool:
        """Whether no other process has clearly fewer connections."""
        share = self._share
        there = [n for n in share.totals[: share.processes] if n != _VACANT]
        return share.totals[self.index] <= min(there) + max(_SLACK, min(there) // 8)

    def total(self) -> int:
        """Connections of all processes."""
        return sum(n for n in self._share.totals[: self._share.processes] if n != _VACANT)

    def of_client(self, client: bytes) -> int:
        """Connections of one client to all processes; some more, if others share both its counters."""
        return min(
            sum(self._share.clients[p * _CELLS + cell] for p in range(self._share.processes))
            for cell in _cells(client)
        )

    def count(self, client: bytes, step: int) -> None:
        """One more or one less here; without an address in all only."""
        self._share.totals[self.index] += step
        for cell in _cells(client) if client else ():
            self._share.clients[self._first + cell] += step


def _cells(client: bytes) -> tuple[int, ...]:
    """Where it is counted: the processes are forks of one, and hash alike, as nobody else does."""
    value = hash(client)
    return tuple(row * _BUCKETS + ((value >> (16 * row)) & (_BUCKETS - 1)) for row in range(_ROWS))
