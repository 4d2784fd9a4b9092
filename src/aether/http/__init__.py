"""One HTTP/1.1 relay engine: streaming both ways, strict both ways, and knowing nothing of functions.

A Handler says where each request goes and hears how it ended; `Relay(handler, limits)` does the rest.
Protocol logic without I/O: syntax, request, response, body, heads. I/O: client, upstream, pool, neighbours,
reachability, mutual_tls, tunnel, and exchange, which ties a client's request to an upstream's response.
"""

from aether.http.exchange import Exchange
from aether.http.handler import Handler
from aether.http.limits import Limits
from aether.http.messages import (
    Answer,
    Failure,
    FailureKind,
    Forward,
    Outcome,
    Phase,
    Undelivered,
    Upstream,
)
from aether.http.mutual_tls import BadCredentials, MutualTls, Side
from aether.http.neighbours import Neighbours
from aether.http.pool import TlsSource
from aether.http.port_share import PortShare, Seat
from aether.http.reachability import LOST, is_unreachable
from aether.http.relay import Relay
from aether.http.request import Request

__all__ = [
    "LOST",
    "Answer",
    "BadCredentials",
    "Exchange",
    "Failure",
    "FailureKind",
    "Forward",
    "Handler",
    "Limits",
    "MutualTls",
    "Neighbours",
    "Outcome",
    "Phase",
    "PortShare",
    "Relay",
    "Request",
    "Seat",
    "Side",
    "TlsSource",
    "Undelivered",
    "Upstream",
    "is_unreachable",
]
