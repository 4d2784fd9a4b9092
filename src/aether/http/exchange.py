"""One request, from its head to its end: the facts of it, for whoever owns the relay."""

from collections.abc import Mapping
from types import MappingProxyType

from aether.http.messages import Forward, Outcome, Phase
from aether.http.request import Request


class Exchange:
    """A request and what became of it.

    Times are perf_counter seconds, 0.0 while not reached: `forwarded_at` the last time the head was sent,
    `head_at` the response's head, `ended_at`. `bytes_in` and `bytes_out` count body payload. `status` is what
    the client was sent, 0 when nothing was. `context` is the last Forward's, or what the handler puts there.
    """

    # Defaults of the class: most of it stays as it is in most exchanges, and each of them is made anew.
    request: Request
    request_complete: bool
    forward: Forward | None = None
    context: object = None
    attempts = 0
    phase = Phase.DECIDE
    status = 0
    taken_off: Mapping[bytes, bytes] = MappingProxyType({})
    """Fields of the response that were not passed on, by lower-case name."""
    bytes_in = 0
    bytes_out = 0
    forwarded_at = 0.0
    head_at = 0.0
    ended_at = 0.0
    outcome: Outcome | None = None
    upgraded = False

    @property
    def received_at(self) -> float:
        return self.request.received_at
