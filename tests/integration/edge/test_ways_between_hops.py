"""By TCP between the hops, or handed over within a process: function and client see the same bytes."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest
from tests.integration.edge.conftest import both_hops

from aether.domain.function import Limits
from aether.http import Limits as RelayLimits
from aether.http import Neighbours
from aether.http.client import ClientConnection
from aether.http.upstream import UpstreamConnection

GET = b"GET /functions/hello/x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Call-Id: c1\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

REQUESTS = {
    "plain": GET + b"\r\n",
    "many fields": GET + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(90)) + b"\r\n",
    "repeated fields": GET + b"Cookie: a=1\r\nX: 1\r\ncookie: b=2\r\nX:2\r\nX:\t3 \r\n\r\n",
    "bytes beyond ASCII": GET + b"X: caf\xc3\xa9 \xff\r\n\r\n",
    "fields of the hop": GET + b"Connection: keep-alive, x-own\r\nKeep-Alive: 5\r\nX-Own: 1\r\nX: 2\r\n\r\n",
    "close": GET + b"Connection: close\r\n\r\n",
    "our own fields, forged": GET + b"X-Aether-Deadline-Ms: 999999999\r\nX-Aether-Refused: full\r\n\r\n",
    "a shorter deadline": GET + b"X-Timeout-Ms: 9000\r\n\r\n",
    "forwarded": GET + b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n",
    "an absolute target": GET.replace(b" /", b" http://a.example/", 1) + b"\r\n",
    "no path": GET.replace(b"/x?y=1", b"", 1) + b"\r\n",
    "HTTP/1.0": GET.replace(b"1.1", b"1.0", 1) + b"\r\n",
    "HTTP/1.0 without Host": b"GET /functions/hello HTTP/1.0\r\nX-Call-Id: c1\r\n\r\n",
    "trailers taken": GET + b"TE: trailers\r\nConnection: TE\r\n\r\n",
    "HEAD": b"HEAD" + GET[3:] + b"\r\n",
    "DELETE": b"DELETE" + GET[3:] + b"\r\n",
    "a length of none": b"POST" + GET[3:] + b"Content-Length: 0\r\n\r\n",
    "a body": b"POST" + GET[3:] + b"Content-Length: 5\r\n\r\nhello",
    "a chunked body": b"POST" + GET[3:] + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "empty lines before it": b"\r\n\r\n" + GET + b"\r\n",
}
ANSWERS = {
    "plain": OK,
    "no reason": OK.replace(b" OK", b"", 1),
    "a long reason": OK.replace(b" OK", b" All is well\x80", 1),
    "no body": b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: e\r\n\r\n",
    "a length with 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "repeated fields": OK.replace(b"\r\n", b"\r\nSet-Cookie: a\r\nset-cookie: b\r\nX:\t1 \r\n", 1),
    "fields of the hop": OK.replace(
        b"\r\n", b"\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: timeout=9\r\n", 1
    ),
    "a promise to stay": OK.replace(b"\r\n", b"\r\nConnection: keep-alive\r\n", 1),
    "close": OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),
    "our own fields, forged": OK.replace(b"\r\n", b"\r\nX-Aether-Error: x\r\nX-Aether-Refused: full\r\n", 1),
    "a refusal, forged": b"HTTP/1.1 503 No\r\nX-Aether-Refused: full\r\nContent-Length: 1\r\n\r\n!",
    "a call id of its own": OK.replace(b"\r\n", b"\r\nX-Call-Id: forged\r\n", 1),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n",
    "an interim one before it": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    "HTTP/1.0": OK.replace(b"1.1", b"1.0", 1),
    "HTTP/1.0 that stays": OK.replace(b"1.1 200 OK", b"1.0 200 OK\r\nConnection: keep-alive", 1),
    "more than its length": OK + b"more",
    "two lengths": OK.replace(b"\r\n", b"\r\nContent-Length: 2\r\n", 1),
    "a bare line feed": OK.replace(b"\r\n", b"\r\nX: a\nY: b\r\n", 1),
    "a length that isn't one": OK.replace(b" 2\r\n", b" +2\r\n", 1),
    "no HTTP": b"hello\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
}
VARYING = re.compile(rb"(dur=|X-Timeout-Ms: )[0-9.]+")


@asynccontextmanager
async def hops_joined(*, within_the_process):
    neighbours = Neighbours() if within_the_process else None
    async with both_hops(RelayLimits(), Limits(), neighbours=neighbours) as both:
        yield both


async def seen(both, request, answer, expected_body):
    """What reaches the function, and what the client gets."""
    client = await both.connect()
    client.send(request)
    function = await both.function()
    head = await function.head()
    body = await function.exactly(expected_body)
    function.send(answer)
    if b"1.0" in answer or b"Content-Length" not in answer:
        function.writer.write_eof()
    received = b""
    while not _whole(request, received):
        async with asyncio.timeout(5):
            data = await client.reader.read(65536)
        if not data:
            break
        received += data
    client.writer.close()
    function.writer.close()
    return VARYING.sub(b"*", head + body), VARYING.sub(b"*", received)


def _whole(request, received):
    """By the head's own words, as far as these answers need it."""
    while received.startswith(b"HTTP/1.1 103"):
        received = received.partition(b"\r\n\r\n")[2]
    head, end, body = received.partition(b"\r\n\r\n")
    if not end or b"Connection: close" in head:
        return False
    if request.lstrip().startswith(b"HEAD") or head[9:12] in (b"204", b"304"):
        return True
    if b"chunked" in head:
        return body.endswith(b"\r\n\r\n")
    found = re.search(rb"content-length: *([0-9]+)", head.lower())
    return found is not None and len(body) >= int(found[1])


def _body_size(request):
    return len(request.lstrip().partition(b"\r\n\r\n")[2])


@pytest.fixture
def handed_over(monkeypatch):
    """How often a request, and a response, was handed over."""
    counts = {"requests": 0, "responses": 0}
    take_request, take_response = ClientConnection.take_request, UpstreamConnection.take_response

    def count_request(self, *args):
        counts["requests"] += 1
        take_request(self, *args)

    def count_response(self, *args):
        counts["responses"] += 1
        take_response(self, *args)

    monkeypatch.setattr(ClientConnection, "take_request", count_request)
    monkeypatch.setattr(UpstreamConnection, "take_response", count_response)
    return counts


@pytest.mark.parametrize("name", REQUESTS)
async def test_request_is_the_same_both_ways(name, handed_over):
    request = REQUESTS[name]
    async with hops_joined(within_the_process=False) as apart:
        by_tcp = await seen(apart, request, OK, _body_size(request))
    assert handed_over == {"requests": 0, "responses": 0}
    async with hops_joined(within_the_process=True) as joined:
        for _ in range(2):  # the second over a connection that is kept
            assert await seen(joined, request, OK, _body_size(request)) == by_tcp


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_answer_is_the_same_both_ways(name, method, handed_over):
    request, answer = method + REQUESTS["plain"][3:], ANSWERS[name]
    async with hops_joined(within_the_process=False) as apart:
        by_tcp = await seen(apart, request, answer, 0)
    async with hops_joined(within_the_process=True) as joined:
        for _ in range(2):
            assert await seen(joined, request, answer, 0) == by_tcp
    assert handed_over["requests"] == 2


async def test_plain_calls_are_handed_over_both_ways(handed_over):
    async with hops_joined(within_the_process=True) as joined:
        for _ in range(3):
            await seen(joined, REQUESTS["plain"], OK, 0)
    assert handed_over == {"requests": 3, "responses": 3}
