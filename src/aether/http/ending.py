"""The ways in which an exchange ends."""

import asyncio
import time
from typing import TYPE_CHECKING

from aether.http.exchange import Exchange
from aether.http.heads import answer_bytes
from aether.http.messages import Answer, Outcome, Phase
from aether.http.replay import Replay

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.relay import Relay
    from aether.http.upstream import UpstreamConnection

_END = Phase.END  # looked up once: in Python 3.11 that takes longer than a call


class EndingExchange(Exchange):
    """An exchange that holds its two connections, and lets go of them exactly once."""

    __slots__ = ("_max_body", "_relay", "_replay", "_task", "client", "connection", "keep_alive")

    client: "ClientConnection"
    keep_alive: bool
    """Whether the client's connection outlives this exchange."""
    connection: "UpstreamConnection | None"
    _relay: "Relay"
    _task: asyncio.Task[None] | None
    """The decision or the connect that is being awaited."""
    _replay: Replay | None
    """None where there is no body to be sent again."""
    _max_body: int | None

    def answer(self, answer: Answer, outcome: Outcome) -> None:
        """Answer here, in one write."""
        self.status = answer.status
        if answer.context is not None:
            self.context = answer.context
        if answer.close or not self.request_complete or self._relay.draining:
            self.keep_alive = False
        data = answer_bytes(answer, self.request, keep_alive=self.keep_alive)
        self.bytes_out += len(answer.body)
        self.client.transport.write(data)
        self._end(outcome)

    def refuse(self, status: int, reason: str) -> None:
        """The client's own fault."""
        if self.phase is Phase.STREAM:
            self.cut(Outcome.CUT_BODY)
            return
        self._drop_upstream()
        answer = self._relay.handler.refused(self.request, status, reason)
        answer.close = True
        self.answer(answer, Outcome.REFUSED)

    def cut(self, outcome: Outcome) -> None:
        """Break off after the head, in a way that no client can take for the end."""
        self._drop_upstream()
        self.keep_alive = False
        self.client.reset()
        self._end(outcome)

    def gone(self, outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        """Nobody waits for the answer any more."""
        self._drop_upstream()
        self.keep_alive = False
        self._end(outcome)

    def tunnel_ended(self, outcome: Outcome) -> None:
        """The tunnel that this request became has ended."""
        if self.outcome is None:
            self.phase = Phase.END
            self.outcome = outcome
            self.ended_at = time.perf_counter()
            self._relay.exchange_ended(self)

    def _drop_upstream(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.abandon()

    def _end(self, outcome: Outcome) -> None:
        if self.outcome is not None:
            return
        self.phase = _END
        self.outcome = outcome
        self.ended_at = time.perf_counter()
        self.client.exchange_ended(self)
        self._relay.exchange_ended(self)
