"""Requests, hostile and unusual, sent to nginx and to the relay; where the two differ it is said why."""

import asyncio

from tests.integration.edge.hostile import REFUSED, TAKEN, answering, verdict
from tests.integration.edge.nginx import free_port, needs_nginx, nginx
from tests.integration.http.conftest import AddressedRelay, Recorder
from tests.unit.http.test_body import HOSTILE as HOSTILE_CHUNKS
from tests.unit.http.test_request import HOSTILE as HOSTILE_HEADS
from tests.unit.http.test_request import POST

from aether.http import Upstream

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED_BY_US = HOSTILE_HEADS | {f"chunks: {name}": CHUNKED + body for name, body in HOSTILE_CHUNKS.items()}

TAKEN_BY_US = {
    "plain": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "length with zeros before it": POST + b"Content-Length: 003\r\n\r\nabc",
    "chunked": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked in capitals": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunk size in capitals": POST + b"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "chunk extension": POST + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "trailers": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "absolute target": b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "empty line before": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
    "byte over 127 in a value": b"GET / HTTP/1.1\r\nHost: a\r\nA: \xe4\r\n\r\n",
    "underscore in a name": b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c\r\n\r\n",
    "quotes and backslash in the target": b'GET /"\\| HTTP/1.1\r\nHost: a\r\n\r\n',
    "colon in a value": b"GET / HTTP/1.1\r\nHost: a\r\nA: b:c\r\n\r\n",
    "no space after the colon": b"GET / HTTP/1.1\r\nHost:a\r\n\r\n",
    "empty value": b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n",
    "dot segments": b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "dot segments above the root": b"GET /../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL escaped in the target": b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "half an escape in the target": b"GET /%2 HTTP/1.1\r\nHost: a\r\n\r\n",
    "Connection names Host": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
    "Connection names Content-Length": POST + b"Connection: content-length\r\nContent-Length: 3\r\n\r\nabc",
    "body that holds a request": POST + b"Content-Length: 32\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n.....",
    "Expect": POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "TRACE": b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "upgrade to h2c": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET with a body": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
}

LINE_ENDS = "a line feed alone ends a line for some and not for others: there requests are smuggled"
NOT_REPAIRED = "a line that is no field is refused, not dropped: who dropped it may have been who needed it"
TRAILERS = "trailers are passed on here, so they are held to what fields are; nginx drops them unread"
WHY_WE_REFUSE = {
    "no colon": NOT_REPAIRED,
    "byte over 127 in a name": NOT_REPAIRED,
    "bare line feed": LINE_ENDS,
    "bare line feeds": LINE_ENDS,
    "chunks: line feed alone": LINE_ENDS,
    "chunks: line feed after the data": LINE_ENDS,
    "chunks: shorter than its size": LINE_ENDS,
    "chunks: bare line feed in the trailers": TRAILERS,
    "chunks: folded trailer": TRAILERS,
    "chunks: trailer without a colon": TRAILERS,
    "chunks: space after the size": "the grammar has none there (RFC 9112, 7.1), and parsers disagree on it",
    "Host with user": "a Host has no user part (RFC 9110, 7.2), and what routes by it must not guess",
    "absolute target against Host": "two answers to where a request goes; nginx takes the target's",
    "other scheme": "no proxy for other protocols",
    "fragment": "a fragment is never sent (RFC 9112, 3.2); nginx cuts it off, others take it for the path's",
    "two spaces": "the request line has single ones (RFC 9112, 3); parsers disagree on what is the target",
    "space after the version": "as with two spaces",
    "version 1.2": "there is none, so nobody knows what it would mean",
    "endless method": "no method is that long, and metrics and logs have it",
}
WHY_WE_TAKE = {
    "dot segments above the root": "the relay passes paths as sent; the edge refuses what leaves a prefix",
    "NUL escaped in the target": "nginx decodes paths to match locations; passed as sent it harms nobody",
    "half an escape in the target": "as with the NUL: how to read a path is the function's to say",
    "TRACE": "a function may answer to any method; the platform's own keys are taken off before",
    "lower-case method": "methods are any tokens (RFC 9110, 9.1)",
}


@needs_nginx
async def test_where_we_differ_from_nginx_we_say_why(tmp_path):
    table = {name: (data, TAKEN) for name, data in TAKEN_BY_US.items()}
    table |= {name: (data, REFUSED) for name, data in REFUSED_BY_US.items()}
    port = free_port()
    async with answering() as backend:
        server = (
            f"server {{ listen 127.0.0.1:{port}; location / "
            f"{{ proxy_pass http://127.0.0.1:{backend[1]}; proxy_http_version 1.1; }} }}"
        )
        async with nginx(tmp_path / "nginx", server, port):
            handler = Recorder()
            handler.upstream = Upstream(*backend)
            relay = AddressedRelay(handler)
            relay.address = await relay.listen("127.0.0.1")
            ours = await verdicts(relay.address, table)
            theirs = await verdicts(("127.0.0.1", port), table)
            await relay.close()
    assert ours == {name: expected for name, (_, expected) in table.items()}
    stricter = {name for name in table if (ours[name], theirs[name]) == (REFUSED, TAKEN)}
    laxer = {name for name in table if (ours[name], theirs[name]) == (TAKEN, REFUSED)}
    assert stricter <= WHY_WE_REFUSE.keys()
    assert laxer <= WHY_WE_TAKE.keys()
    assert stricter, "nginx takes some of this: has it been asked at all?"


async def verdicts(address, table) -> dict[str, str]:
    answers = await asyncio.gather(*(verdict(address, data) for data, _ in table.values()))
    return dict(zip(table, answers, strict=True))
