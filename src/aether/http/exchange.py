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

    # Slots, all set in one go by SendingExchange: defaults of the class take six times as long to read.
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

    request: Request
    request_complete: bool
    forward: Forward | None
    context: object
    attempts: int
    phase: Phase
    status: int
    taken_off: Mapping[bytes, bytes]
    """Fields of the response that were not passed on, by lower-case name."""
    bytes_in: int
    bytes_out: int
    forwarded_at: float
    head_at: float
    ended_at: float
    outcome: Outcome | None
    upgraded: bool

    @property
    def received_at(self) -> float:
        return self.request.received_at
