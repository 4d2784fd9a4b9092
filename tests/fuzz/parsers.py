"""The protocol logic alone: however the bytes are split, the result is the same, and it is well-formed."""

from random import Random

from tests.fuzz.mutations import CHUNKED, REQUESTS, RESPONSES, split, spoiled

from aether.http.body import ChunkedBody
from aether.http.limits import Limits
from aether.http.refusal import Refusal
from aether.http.request_head import parse_request
from aether.http.response import parse_response

LIMITS = Limits()
INCOMPLETE = ("incomplete",)


def request_of(data: bytes, scanned: int):
    request = parse_request(data, LIMITS, scanned)
    if request is None:
        return None
    assert b"\n" not in request.headers.replace(b"\r\n", b"")
    assert b"\r" not in request.headers.replace(b"\r\n", b"")
    assert b"\x00" not in request.headers
    assert request.target[:1] in (b"/", b"*")
    return (request.method, request.target, request.length, request.headers, request.head_bytes)


def response_of(data: bytes, scanned: int):
    response = parse_response(data, method=b"GET", drop_prefix=b"x-aether-", max_bytes=65536, scanned=scanned)
    if response is None:
        return None
    assert b"\n" not in response.headers.replace(b"\r\n", b"")
    assert b"\r" not in response.headers.replace(b"\r\n", b"")
    return (response.status, response.length, response.headers, response.head_bytes)


def whole(parse, data: bytes):
    try:
        return parse(data, 0) or INCOMPLETE
    except Refusal:
        return Refusal


def in_pieces(parse, pieces: list[bytes]):
    data = b""
    for piece in pieces:
        scanned = len(data)
        data += piece
        try:
            result = parse(data, scanned)
        except Refusal:
            return Refusal
        if result is not None:
            return result
    return INCOMPLETE


def chunks(pieces: list[bytes]):
    """Payload, trailers and rest; Refusal when they are refused."""
    body, payload, rest = ChunkedBody(), b"", b""
    for piece in pieces:
        if body.done:
            rest += piece
            continue
        try:
            more, after = body.feed(piece)
        except Refusal:
            return Refusal
        payload, rest = payload + more, rest + after
    return payload, body.trailers, rest, body.done


def check_once(random: Random) -> None:
    """One of each. AssertionError tells the bytes that showed a difference."""
    for parse, seeds in ((request_of, REQUESTS), (response_of, RESPONSES)):
        data = spoiled(random, random.choice(seeds))
        expected, got = whole(parse, data), in_pieces(parse, split(random, data))
        assert expected == got or (expected, got) == (INCOMPLETE, Refusal), (data, expected, got)
    data = spoiled(random, random.choice(CHUNKED))
    expected, got = chunks([data]), chunks(split(random, data))
    assert expected == got, (data, expected, got)
