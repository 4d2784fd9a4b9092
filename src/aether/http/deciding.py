"""Asking the handler, and doing as it says."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine

from aether.http.messages import Answer, Failure, FailureKind, Forward, Outcome, Phase, Undelivered
from aether.http.request import IDEMPOTENT
from aether.http.responding import RespondingExchange
from aether.http.watch import NEVER

Decision = Forward | Answer | Awaitable[Forward | Answer]


class DecidingExchange(RespondingExchange, ABC):
    """An exchange that goes where its handler says, at first and after each failure."""

    __slots__ = ("_own_outcome",)

    _own_outcome: Outcome

    @abstractmethod
    def _send(self, forward: Forward) -> None:
        """Take the request to an upstream."""

    def begin(self) -> None:
        """Ask the handler, and do as it says."""
        length = self.request.length
        if self._max_body is not None and length is not None and length > self._max_body:
            self.refuse(413, "request body too large")
            return
        try:
            decision = self._relay.handler.begin(self.request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        if isinstance(decision, Forward):  # as most often
            self._send(decision)
        else:
            self.act(decision)

    def act(self, decision: Decision) -> None:
        """Do what was decided, or wait until it is."""
        if isinstance(decision, Forward):
            self._send(decision)
        elif isinstance(decision, Answer):
            self.answer(decision, self._own_outcome)
        else:
            self.phase = Phase.DECIDE
            self.client.due_at = NEVER if self.forward is None else self.forward.deadline_at or NEVER
            self._task = self._relay.supervisor.start(self._decide(decision))
            if isinstance(decision, Coroutine):
                # A task that is cancelled before its first step never gets to it.
                self._task.add_done_callback(lambda _task: decision.close())

    async def _decide(self, decision: Awaitable[Forward | Answer]) -> None:
        try:
            decided = await decision
        except asyncio.CancelledError as error:
            if self.outcome is None:  # not ours: something inside the handler was cancelled
                self._handler_failed(error)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        self._task = None
        if self.outcome is None:
            self.act(decided)

    def _handler_failed(self, error: BaseException) -> None:
        self._task = None
        self._relay.report("A handler failed", error)
        self.fail(FailureKind.HANDLER, type(error).__name__)

    def undelivered(self, why: Undelivered) -> None:
        """Nothing of the request reached a function: ask the handler again."""
        self._own_outcome = Outcome.FAILED
        if not self._may_send_again:
            self.fail(FailureKind.UNREACHABLE, why.detail)
            return
        try:
            decision = self._relay.handler.undelivered(self, why)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._handler_failed(error)
            return
        self.act(decision)

    def fail(self, kind: FailureKind, detail: str = "") -> None:
        """No response's head will come: let the handler word the answer."""
        failure = Failure(kind, self.phase, detail, self._may_retry and kind is FailureKind.BROKEN)
        self._drop_upstream()
        if kind is FailureKind.HANDLER and self._own_outcome is Outcome.FAILED:
            # It was answering for an earlier failure: asked once more it might raise for ever.
            self.answer(Answer(500, close=True), Outcome.FAILED)
            return
        self._own_outcome = Outcome.FAILED
        try:
            decision = self._relay.handler.failed(self, failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._relay.report("A handler failed", error)
            decision = Answer(500, close=True)
        if decision is None or (isinstance(decision, Forward) and not failure.may_retry):
            decision = Answer(502, close=True)
        self.act(decision)

    def unanswered(self, detail: str) -> Decision | None:
        """The upstream says that the one behind it gave no answer: what to do instead of passing that on."""
        if not self._may_retry:
            return None
        failure = Failure(FailureKind.UNANSWERED, self.phase, detail, may_retry=True)
        try:
            decision = self._relay.handler.failed(self, failure)
        except Exception as error:  # noqa: BLE001 - there is an answer
            self._relay.report("A handler failed", error)
            return None
        if decision is not None:
            self._own_outcome = Outcome.FAILED
        return decision

    @property
    def _may_retry(self) -> bool:
        return self._may_send_again and self.request.method in IDEMPOTENT

    @property
    def _may_send_again(self) -> bool:
        """All of the body that has come is still here."""
        return self._replay is None or self._replay.possible
