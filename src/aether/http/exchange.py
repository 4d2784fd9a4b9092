"""One request, from its head to its end: the facts of it, for whoever owns the relay."""

from collections.abc import Mapping

from aether.http.messages import Forward, Outcome, Phase
from aether.http.request import Request


class Exchange:
    """A request and what became of it.

    Times are perf_counter seconds, 0.0 while not reached: `forwarded_at` the last time the head was sent,
    `head_at` the response's head, `ended_at`. `bytes_in` and `bytes_out` count body payload. `status` is what
    the client was sent, 0 when nothing was. `context` is the last Forward's, or what the handler puts there.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "context",
        "ended_at",
        "forward",
        "forwarded_at",
        "head_at",
        "outcome",
        "phase",
        "request",
        "request_complete",
        "status",
        "taken_off",
        "upgraded",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.forward: Forward | None = None
        self.context: object = None
        self.attempts = 0
        self.phase = Phase.DECIDE
        self.status = 0
        self.taken_off: Mapping[bytes, bytes] = {}
        """Fields of the response that were not passed on, by lower-case name."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.forwarded_at = 0.0
        self.head_at = 0.0
        self.ended_at = 0.0
        self.outcome: Outcome | None = None
        self.upgraded = False
        self.request_complete = request.length == 0

    @property
    def received_at(self) -> float:
        return self.request.received_at
