"""The part named `file` of a multipart body, as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from aether.domain.errors import InvalidRequest

_FIELD = "file"


class FilePart:
    """Feeds on a body; `filename` is known once the part has begun."""

    def __init__(self, content_type: str) -> None:
        """Raises InvalidRequest when the header has no boundary."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise InvalidRequest("the multipart body has no boundary in its Content-Type")
        self.filename: str | None = None
        self._seen = 0
        self._ended = False
        self._inside = False
        self._header_name = self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._ready: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    async def content(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The part's bytes. Raises InvalidRequest when the body is broken or has no such part."""
        try:
            async for chunk in body:
                self._parser.write(chunk)
                for piece in self._ready:
                    yield piece
                self._ready.clear()
            self._parser.finalize()
        except (FormParserError, UnicodeError) as error:
            raise InvalidRequest(f"the multipart body is broken: {error}") from error
        if not self._ended:
            raise InvalidRequest("the multipart body is cut short")
        if self._seen != 1:
            wrong = "is missing" if self._seen == 0 else "is there more than once"
            raise InvalidRequest("the archive must be the one part named 'file'", fields={_FIELD: wrong})

    def _begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._inside = options.get(b"name") == _FIELD.encode()
        if self._inside:
            self._seen += 1
            filename = options.get(b"filename")
            self.filename = filename.decode(errors="replace") if filename else None

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._ready.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True
