"""What is handed over within a process is what the next relay would have read of the bytes."""

from hypothesis import given
from hypothesis import strategies as st

from aether.http.handover import passed_on
from aether.http.heads import request_head, response_head
from aether.http.limits import Limits
from aether.http.messages import Forward, Upstream
from aether.http.refusal import Refusal
from aether.http.request import Request
from aether.http.request_head import parse_request
from aether.http.response import parse_response
from aether.http.syntax import cut

WIDE = Limits(max_head_bytes=1 << 20, max_headers=1000, max_target_bytes=65536)
ADDED = b"X-Call-Id: call-1\r\nX-Aether-Deadline-Ms: 29999\r\n"
OURS = frozenset({b"x-call-id", b"x-timeout-ms", b"authorization"})

NAMES = st.sampled_from(
    b"Host Connection Content-Length Keep-Alive Proxy-Connection TE Upgrade Expect HTTP2-Settings "
    b"Transfer-Encoding X-Forwarded-For X_Forwarded_For X-Forwarded-Host X-Call-Id Authorization "
    b"X-Aether-Refused X-Own Cookie".split()
)
VALUES = st.sampled_from(
    b"a close keep-alive x-own cookie 0 3 trailers websocket chunked 100-continue a,b "
    b"\xff 1.2.3.4 https".split()
)
FIELDS = st.lists(
    st.tuples(NAMES, st.sampled_from([b"", b" ", b"\t "]), VALUES, st.sampled_from([b"", b" "]))
)
PIECES = st.sampled_from([b"GET ", b"/", b" HTTP/1.1", b"\r\n", b":", b"\n", b"\x00", b"Host: b", b"  "])


def block(fields: list[tuple[bytes, ...]]) -> bytes:
    return b"".join(b"\r\n%b:%b%b%b" % field for field in fields)


def read(data: bytes) -> Request | None:
    try:
        return parse_request(data, Limits())
    except Refusal:
        return None


def compare(data: bytes, scheme: bytes) -> None:
    request = read(data)
    if request is None:
        return
    request.client = ("9.9.9.9", 1)
    forward = Forward(Upstream("a", 1), b"/x?y", add_headers=ADDED, drop=OURS)
    handed = passed_on(request, forward, scheme, trusted=False)
    if handed is None:
        return
    by_bytes = parse_request(request_head(request, forward, scheme), WIDE, edge=False)
    assert by_bytes is not None
    for name in set(Request.__slots__) - {"received_at"}:
        assert getattr(handed, name) == getattr(by_bytes, name), name


@given(st.sampled_from([b"GET", b"HEAD", b"POST"]), FIELDS, st.sampled_from([b"", b"http", b"https"]))
def test_requests_are_handed_over_as_the_next_relay_would_read_them(method, fields, scheme):
    compare(b"%b /y HTTP/1.1\r\nHost: a%b\r\n\r\n" % (method, block(fields)), scheme)


@given(FIELDS, PIECES, st.integers(0, 99), st.sampled_from([b"", b"http"]))
def test_what_is_hostile_is_never_handed_over_as_something_else(fields, piece, place, scheme):
    data = b"GET http://a/y HTTP/1.1\r\nHost: a%b\r\n\r\n" % block(fields)
    compare(data[:place] + piece + data[place:], scheme)


@given(st.sampled_from([200, 204, 304, 404, 503]), FIELDS, st.sampled_from([b"GET", b"HEAD"]))
def test_responses_are_handed_over_as_the_next_relay_would_read_them(status, fields, method):
    forward = Forward(Upstream("a", 1), b"/")
    data = b"HTTP/1.1 %d OK\r\nContent-Length: 2%b\r\n\r\n" % (status, block(fields))
    prefix = forward.drop_response_prefix
    try:
        response = parse_response(data, method=method, drop_prefix=prefix, max_bytes=65536)
    except Refusal:
        return
    assert response is not None
    if response.length is None or response.length < 0:
        return
    head = response_head(response, forward, b"", chunked=False, version=1, keep_alive=True)
    by_bytes = parse_response(head, method=method, drop_prefix=prefix, max_bytes=65536)
    assert by_bytes is not None
    assert by_bytes.taken_off == {}
    assert by_bytes.keep_alive
    assert (by_bytes.status, by_bytes.length) == (response.status, response.length)
    assert cut(by_bytes.headers, by_bytes.cuts) == cut(response.headers, response.cuts)
