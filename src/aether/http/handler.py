"""The interface between the relay and whoever owns it."""

from collections.abc import Awaitable
from typing import Protocol

from aether.http.exchange import Exchange
from aether.http.messages import Answer, Failure, Forward, Undelivered
from aether.http.request import Request


class Handler(Protocol):
    """Says where requests go, and hears how they ended. All is called in the event loop, and must not block.

    Where a Forward or an Answer is returned at once no task is made; an awaitable is awaited in one, which is
    cancelled when the client goes.
    """

    def begin(self, request: Request) -> Forward | Answer | Awaitable[Forward | Answer]:
        """Decide on a request whose head has come; its body may still be coming."""
        ...

    def undelivered(
        self, exchange: Exchange, why: Undelivered
    ) -> Forward | Answer | Awaitable[Forward | Answer]:
        """Decide again: no byte of the request reached a function. `exchange.attempts` counts the tries."""
        ...

    def failed(
        self, exchange: Exchange, failure: Failure
    ) -> Forward | Answer | Awaitable[Forward | Answer] | None:
        """Answer for an upstream that did not. A Forward is taken only when `failure.may_retry`.

        None where there is an answer of the upstream's to be passed on: of kind `UNANSWERED` alone.
        """
        ...

    def refused(self, request: Request | None, status: int, reason: str) -> Answer:
        """Word the relay's own refusal: 400, 408, 413, 414, 431, or 503 for too many connections.

        `request` is None when there is no readable head; then `finished` is not called either. The connection
        is closed whatever the Answer says.
        """
        ...

    def finished(self, exchange: Exchange) -> None:
        """Called once for every request with a readable head, at its very end."""
        ...
