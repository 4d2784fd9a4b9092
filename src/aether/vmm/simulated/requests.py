"""From a connection's bytes to whole requests."""

from __future__ import annotations

from dataclasses import dataclass, field

import httptools

BODY_LIMIT_BYTES = 1024 * 1024
"""Of a request's body that is kept for the echo; the rest is counted only."""


@dataclass(slots=True)
class Request:
    """As the parser's callbacks fill it."""

    method: str = ""
    path: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    body_bytes: int = 0
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Collector:
    """Turns one connection's bytes into whole requests."""

    def __init__(self) -> None:
        self.complete: list[Request] = []
        self._request = Request()
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        request = self._request
        request.body_bytes += len(body)
        request.body += body[: BODY_LIMIT_BYTES - len(request.body)]

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode("latin-1")
        self._request.keep_alive = self._parser.should_keep_alive()
        self.complete.append(self._request)
