"""The ways in which an exchange ends."""

import asyncio
import time
from typing import TYPE_CHECKING

from aether.http.exchange import Exchange
from aether.http.heads import answer_bytes
from aether.http.messages import Answer, Outcome, Phase
from aether.http.replay import Replay
from aether.http.request import Request

if TYPE_CHECKING:
    from aether.http.client import ClientConnection
    from aether.http.upstream import UpstreamConnection


class EndingExchange(Exchange):
    """An exchange that holds its two connections, and lets go of them exactly once."""

    connection: "UpstreamConnection | None" = None
    _task: asyncio.Task[None] | None = None
    """The decision or the connect that is being awaited."""

    def __init__(self, client: "ClientConnection", request: Request) -> None:
        relay = client.relay
        self.request = request
        self.request_complete = complete = request.length == 0
        self.client = client
        self.keep_alive = request.keep_alive
        """Whether the client's connection outlives this exchange."""
        self._relay = relay
        self._replay = None if complete else Replay(relay.limits.replay_bytes)
        """None where there is no body to be sent again."""
        self._max_body = relay.limits.max_body_bytes

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
        self.phase = Phase.END
        self.outcome = outcome
        self.ended_at = time.perf_counter()
        self.client.exchange_ended(self)
        self._relay.exchange_ended(self)
