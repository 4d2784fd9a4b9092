from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.http.body import ChunkedBody, LengthBody, chunk, last_chunk
from aether.http.refusal import Refusal


def feed_all(body, pieces):
    """What a body gives for these pieces in turn, and what came after it."""
    payload = rest = b""
    for piece in pieces:
        if body.done:
            rest += piece
            continue
        more, after = body.feed(piece)
        payload += more
        rest += after
    return payload, rest


def split(data, cuts):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if end > start]


CUTS = st.lists(st.integers(min_value=0), max_size=12)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.binary(max_size=20), CUTS, st.booleans())
def test_any_split_of_a_chunked_body_gives_the_same(payloads, after, cuts, trailers):
    fields = b"\r\nX-A: b\r\nX-C: d" if trailers else b""
    data = b"".join(map(chunk, payloads)) + last_chunk(fields)
    body = ChunkedBody()
    assert feed_all(body, split(data + after, cuts)) == (b"".join(payloads), after)
    assert body.done
    assert body.trailers == fields


@given(st.binary(max_size=100), st.binary(max_size=20), CUTS)
def test_any_split_of_a_body_by_length_gives_the_same(payload, after, cuts):
    body = LengthBody(len(payload))
    assert feed_all(body, split(payload + after, cuts)) == (payload, after)
    assert body.done


HOSTILE = {
    "no size": b"\r\nabc\r\n",
    "signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "prefixed size": b"0x3\r\nabc\r\n0\r\n\r\n",
    "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "size over 64 bits": b"f" * 17 + b"\r\n",
    "underscore": b"1_0\r\n",
    "line feed alone": b"3\nabc\r\n0\r\n\r\n",
    "carriage return in the extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "line feed in the extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 5000,
    "longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
    "no CRLF after the data": b"3\r\nabc0\r\n\r\n",
    "line feed after the data": b"3\r\nabc\n0\r\n\r\n",
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "bare line feed in the trailers": b"0\r\nA: b\nC: d\r\n\r\n",
    "endless trailers": b"0\r\n" + b"A: b\r\n" * 3000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("step", [1, 3, 10000])
def test_hostile_chunks_are_refused_however_they_come(data, step):
    body = ChunkedBody()
    with pytest.raises(Refusal):
        feed_all(body, [data[start : start + step] for start in range(0, len(data), step)])
    assert not body.done


def test_extensions_are_dropped():
    assert feed_all(ChunkedBody(), [b'3;a=b;c="d"\r\nabc\r\n0;x\r\n\r\n']) == (b"abc", b"")
