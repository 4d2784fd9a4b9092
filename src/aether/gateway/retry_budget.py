"""How many requests may be sent a second time although the first instance may have seen them."""

from __future__ import annotations

SHARE = 0.1
"""Of all requests: when much breaks, sending all of it again would break the rest."""
PER_S = 1.0
"""So that functions that are hardly called have some too."""
FIRST = 10.0
MOST = 100.0


class RetryBudget:
    """A bucket of tokens, one for each retry, filled by requests and by time as of when it is asked.

    As Finagle's and linkerd's retry budgets are.
    """

    __slots__ = ("_asked_at_s", "_requests", "_tokens")

    def __init__(self) -> None:
        self._tokens = FIRST
        self._requests = 0
        self._asked_at_s: float | None = None

    def take(self, requests: int, now_s: float) -> bool:
        """Whether one more is allowed, after that many requests in all."""
        since_s = 0.0 if self._asked_at_s is None else now_s - self._asked_at_s
        earned = SHARE * (requests - self._requests) + PER_S * since_s
        self._tokens = min(MOST, self._tokens + earned)
        self._requests, self._asked_at_s = requests, now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
