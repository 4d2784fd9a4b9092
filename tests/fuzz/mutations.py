"""Messages to begin with, and ways to spoil them."""

from random import Random

REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    (
        b"PUT /d HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n"
    ),
    b"PUT /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /g HTTP/1.1\r\nHost: a\r\nConnection: x-b, close\r\nX-B: c\r\n\r\n",
    b"GET /h HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nX_Forwarded_Proto: x\r\n\r\n",
]

RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n',
    b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
    b"HTTP/1.1 503 No\r\nX-Aether-Refused: full\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length:0\r\n\r\n",
]

CHUNKED = [message.partition(b"\r\n\r\n")[2] for message in (REQUESTS[3], REQUESTS[4], RESPONSES[1])]

PIECES = [
    *(b"\r\n", b"\r", b"\n", b"\x00", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x80", b"\xff", b"0", b"+5"),
    *(b"\r\n\r\n", b"\r\n ", b"\n\n", b"0\r\n\r\n", b"ffffffffffffffff", b"0x5", b"1_0", b"-1", b"99999999"),
    *(b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer_Encoding: chunked\r\n",
    ),
    *(b"Host: b\r\n", b"Connection: close\r\n", b"Connection: content-length\r\n", b"Connection: host\r\n"),
    *(
        b"HTTP/1.0",
        b"HTTP/1.1",
        b"HTTP/2.0",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"X" * 300,
        b"A: b\r\n" * 120,
    ),
]


def spoiled(random: Random, message: bytes) -> bytes:
    """The message with some changes: often none, seldom many."""
    for _ in range(random.choice((0, 0, 1, 1, 1, 2, 3, 6))):
        start = random.randrange(len(message) + 1)
        end = min(len(message), start + random.choice((0, 1, 1, 2, 4, 16)))
        kind = random.randrange(5)
        if kind == 0:
            message = message[:start] + message[end:]
        elif kind == 1:
            message = message[:start] + message[start:end] * 2 + message[end:]
        elif kind == 2:
            message = message[:start] + bytes([random.randrange(256)]) + message[end:]
        elif kind == 3:
            message = message[:start] + random.choice(PIECES) + message[end:]
        else:
            lines = message.split(b"\r\n")
            random.shuffle(lines)
            message = b"\r\n".join(lines) if random.random() < 0.2 else message.swapcase()
    return message


def split(random: Random, data: bytes) -> list[bytes]:
    """The same bytes in pieces, single ones among them."""
    most = random.choice((1, 7, 64, 100_000))
    pieces = []
    while data:
        size = random.randint(1, most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces
