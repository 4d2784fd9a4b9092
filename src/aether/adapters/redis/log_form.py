"""A line of output as a stream holds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aether.ports.function_logs import LogRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
ANY = "surrogatepass"
"""Text of a function may hold half a pair, which is no UTF-8."""


def arguments(record: LogRecord) -> list[bytes | int]:
    """As the script `log` takes a line."""
    return [
        (record.at - EPOCH) // MICROSECOND,
        record.instance_id.encode(),
        record.stream.encode(),
        (record.call_id or "").encode(),
        record.text.encode(errors=ANY),
    ]


def load(function_id: str, fields: dict[bytes, bytes]) -> LogRecord:
    """Raises KeyError or ValueError for what is no line."""
    return LogRecord(
        function_id,
        fields[b"instance"].decode(),
        fields[b"stream"].decode(),
        fields[b"text"].decode(errors=ANY),
        _moment(fields[b"at"]),
        fields[b"call"].decode() or None,
    )


def _moment(text: bytes) -> datetime:
    try:
        return EPOCH + int(text) * MICROSECOND
    except OverflowError as error:
        raise ValueError(str(error)) from error
