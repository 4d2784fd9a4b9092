"""Between relays of one process: what one of them has understood, the other need not read again.

Only what is plain and whole goes this way, and only where nothing is under way between the two; all else is
written as bytes, as over a socket. What reaches the function and the client is the same either way.
"""

from typing import TYPE_CHECKING

from aether.http.heads import kept_and_added
from aether.http.messages import Forward
from aether.http.request import Request
from aether.http.response import Response

if TYPE_CHECKING:
    from aether.http.responding import RespondingExchange
    from aether.http.upstream import UpstreamConnection

ROOM_FOR_FIELDS = 32
"""A neighbour takes requests over only if it allows that many more fields: the first relay adds some."""


def passed_on(request: Request, forward: Forward, scheme: bytes, *, trusted: bool) -> Request | None:
    """What the next relay would read of this request, if it is one to be handed over."""
    target = forward.target
    if (
        request.length != 0
        or request.version == 0
        or request.upgrade
        or request.takes_trailers
        or not target.startswith(b"/")
    ):
        return None
    kept, added = kept_and_added(request, forward, scheme, trusted=trusted)
    headers = kept + b"\r\n" + added[:-2] if added else kept
    size_bytes = len(headers) + len(request.method) + len(target) + len(b"  HTTP/1.1\r\n\r\n")
    handed = Request(request.method, target, 1, headers, size_bytes)
    handed.host = request.host
    return handed


def hand_request(exchange: "RespondingExchange", connection: "UpstreamConnection", forward: Forward) -> bool:
    """Let the relay that `connection` leads to begin with this request; False: it has to be written."""
    near, client = connection.near, exchange.client
    if near is None or not near.takes_requests:
        return False
    request = passed_on(exchange.request, forward, client.scheme, trusted=client.trusted)
    if request is None:
        return False
    limits = near.relay.limits
    if request.head_bytes > limits.max_head_bytes or len(request.target) > limits.max_target_bytes:
        return False
    near.take_request(request)
    return True


def may_hand_response(
    exchange: "RespondingExchange", near: "UpstreamConnection", response: Response, forward: Forward
) -> bool:
    """Whether a response, all of which is here, may go to the relay whose connection `near` is."""
    before = near.exchange
    return (
        before is not None
        and exchange.keep_alive
        and response.length is not None
        and response.length >= 0
        and not forward.drop_response
        and before.forward is not None
        and before.forward.drop_response_prefix == forward.drop_response_prefix
        and near.takes_response(response.head_bytes)
    )
