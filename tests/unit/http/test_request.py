import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.http.limits import Limits
from aether.http.refusal import Refusal
from aether.http.request import Request
from aether.http.request_head import parse_request

LIMITS = Limits()
HOST = b"Host: a\r\n"

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

HOSTILE = {
    "length with chunked": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "repeated length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "differing lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
    "hexadecimal length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
    "length with underscore": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n",
    "empty length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "endless length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 40 + b"\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "coding list": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    "coding behind a vertical tab": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
    "folded first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "bare line feed": b"GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare carriage return": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control byte in a name": b"GET / HTTP/1.1\r\nHost: a\r\nA\x01: b\r\n\r\n",
    "byte over 127 in a name": b"GET / HTTP/1.1\r\nHost: a\r\n\xc3\xa4: b\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "Host with a list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "absolute target against Host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target with user": b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "other scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "no slash": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "version 2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "version 1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "version 0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\nHost: a\r\n\r\n",
    "space after the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "method that isn't a token": b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "endless method": b"G" * 40 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_head_is_refused(data):
    with pytest.raises(Refusal) as refused:
        parse_request(data, LIMITS)
    assert refused.value.status == 400


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_head_is_refused_however_it_is_split(data):
    """Byte by byte it is refused too, at the latest when it's complete."""
    with pytest.raises(Refusal):
        assert all(parse_request(data[:end], LIMITS, end - 1) is None for end in range(1, len(data) + 1))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 40000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 40000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"A: a\r\n" * 100 + b"\r\n", 431),
    ],
)
def test_sizes_are_limited(data, status):
    with pytest.raises(Refusal) as refused:
        parse_request(data, LIMITS)
    assert refused.value.status == status


def read(data: bytes) -> Request:
    request = parse_request(data, LIMITS)
    assert request is not None
    return request


def test_fields_are_found_in_any_case():
    request = read(b"GET / HTTP/1.1\r\nhOST: a:80\r\nX-A:  b \r\nX-A: c\r\n\r\n")
    assert request.host == b"a:80"
    assert request.header(b"x-a") == b"b"
    assert request.header(b"X-A") == b"b"
    assert request.header(b"A") is None


def test_absolute_target_becomes_origin_form():
    assert read(b"GET HTTP://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n").target == b"/x?y"
    assert read(b"GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n").target == b"/?y"
    assert read(b"GET http://a HTTP/1.0\r\n\r\n").host == b"a"


def test_connection_persists_as_its_version_says():
    assert read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive
    assert not read(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keep_alive
    assert not read(b"GET / HTTP/1.0\r\n\r\n").keep_alive
    assert read(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive


def test_http_2_is_not_tunnelled():
    head = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"HTTP2-Settings: x\r\nUpgrade: %b\r\n\r\n"
    )
    assert read(head % b"h2c").upgrade == b""
    assert read(head % b"websocket").upgrade == b"websocket"


def test_framing_is_read():
    assert read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").length == 0
    assert read(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 007 \r\n\r\n").length == 7
    assert read(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").length is None


def test_empty_lines_before_a_request_are_skipped():
    assert read(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").target == b"/"


NAMES = st.from_regex(rb"x-[a-z]{1,9}", fullmatch=True)
VALUES = st.from_regex(rb"[!-~][ -~]{0,20}[!-~]", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20), st.binary(max_size=20))
def test_any_good_head_is_read_whole_and_only_when_it_is_whole(fields, rest):
    head = b"GET /p HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b:%b\r\n" % field for field in fields) + b"\r\n"
    assert read(head + rest).head_bytes == len(head)
    for end in range(0, len(head), 7):
        assert parse_request(head[:end], LIMITS) is None


@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_for(data):
    try:
        request = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + data, LIMITS)
    except Refusal:
        return
    if request is not None:
        assert b"\x00" not in request.headers
        assert b"\n" not in request.headers.replace(b"\r\n", b"")
