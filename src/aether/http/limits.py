"""What the relay accepts, and for how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one relay. Sizes in bytes, times in seconds; None means unbounded."""

    max_head_bytes: int = 32768
    max_headers: int = 100
    max_target_bytes: int = 8192
    max_body_bytes: int | None = None
    max_response_head_bytes: int = 65536
    head_timeout_s: float = 10.0
    """From a request's first byte to the end of its head."""
    body_idle_timeout_s: float = 30.0
    """Longest gap between two pieces of a request body that we are ready to read."""
    keepalive_timeout_s: float = 75.0
    linger_s: float = 2.0
    """How long a client may go on sending after an answer that ends the connection."""
    connect_timeout_s: float = 5.0
    max_connections: int = 10_000
    max_connections_per_client: int | None = None
    upstream_idle_s: float = 4.0
    """Kept-alive connections are dropped sooner than the other side would: Node closes after 5 s."""
    max_idle_per_upstream: int = 64
    replay_bytes: int = 65536
    """Request bodies up to this size are kept until the response's head, so that they can be sent again."""
    max_attempts: int = 16
    """Most upstreams tried for one request, whatever the handler says."""
    upstream_silence_s: float | None = None
    """An upstream's host that has acknowledged nothing for so long is gone: `reachability` says how."""
    client_silence_s: float | None = None
    """The same of clients' hosts."""
