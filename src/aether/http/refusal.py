"""The one exception of the protocol logic."""


class Refusal(Exception):
    """A message we don't take: the status we would answer a client with, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
