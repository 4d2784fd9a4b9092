"""The part of a request's body that is kept until the response's head, so that it can be sent again."""


class Replay:
    """What was sent, or waits to be, up to a size; beyond it, what has been sent is forgotten.

    `possible` says whether the whole body so far is still here.
    """

    __slots__ = ("_limit_bytes", "_pieces", "possible", "size_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.possible = True
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []

    @property
    def full(self) -> bool:
        return self.size_bytes > self._limit_bytes

    def add(self, data: bytes) -> None:
        if self.possible:
            self._pieces.append(data)
            self.size_bytes += len(data)

    def sent(self) -> bytes:
        """All of it, in order to be sent; a body too large to be kept is sent this once."""
        data = b"".join(self._pieces)
        if self.full:
            self.end()
        return data

    def end(self) -> None:
        """Nothing will be sent again."""
        self.possible = False
        self.size_bytes = 0
        self._pieces.clear()
