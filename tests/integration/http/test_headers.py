OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_edge_says_who_asked(relay, backend, connect):
    client = await connect(await relay(edge=True))
    client.send(
        b"GET / HTTP/1.1\r\nHost: a.b\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-proto: gopher\r\n\r\n"
    )
    head = await (await backend.peer()).head()
    assert (
        b"X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.b\r\n" in head
    )
    assert head.lower().count(b"x-forwarded-") == 3


async def test_headers_are_dropped_and_set(relay, backend, handler, connect):
    handler.options.update(
        drop=frozenset({b"authorization", b"x-call-id"}),
        add_headers=b"X-Call-Id: 1\r\n",
        response_headers=lambda exchange: b"Server-Timing: fn;dur=1\r\n",
    )
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nAuthorization: secret\r\nHost: x\r\nX-CALL-ID: 7\r\nA: b\r\n\r\n")
    upstream = await backend.peer()
    assert await upstream.head() == b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nX-Call-Id: 1\r\n\r\n"
    upstream.send(OK)
    assert b"Server-Timing: fn;dur=1\r\n" in (await client.response())[0]


async def test_trailers_and_headers_cannot_forge_what_is_ours(relay, backend, handler, connect):
    handler.options.update(drop_response=frozenset({b"x-call-id"}), response_headers=b"X-Call-Id: real\r\n")
    client = await connect(await relay())
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
    upstream = await backend.peer()
    assert b"Connection: TE\r\nTE: trailers\r\n" in await upstream.head()
    upstream.send(
        b"HTTP/1.1 200 OK\r\nX-Call-ID: forged\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        b"X-Sum: 1\r\nContent-Length: 9\r\nX-Aether-Refused: full\r\nX-Call-Id: forged\r\n\r\n"
    )
    assert b"forged" not in await client.head()
    assert await client.exactly(15) == b"0\r\nX-Sum: 1\r\n\r\n"


FORWARDED = b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n"


async def test_a_trusted_front_proxy_says_what_was_asked_for(relay, backend, handler, connect):
    started = await relay(edge=True)
    started.trusts = lambda host: host == "127.0.0.1"
    client = await connect(started)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + FORWARDED + b"\r\n")
    head = await (await backend.peer()).head()
    assert b"X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n" in head
    assert b"X-Forwarded-Proto: https\r\n" in head
    assert b"X-Forwarded-Host: a.example\r\n" in head


async def test_nobody_else_does_nor_with_underscores(relay, backend, handler, connect):
    client = await connect(await relay(edge=True))
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + FORWARDED + FORWARDED.replace(b"-", b"_") + b"\r\n")
    head = await (await backend.peer()).head()
    assert b"X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n" in head
    assert b"X-Forwarded-Proto: http\r\n" in head
    assert b"X-Forwarded-Host: x\r\n" in head
    assert b"X_Forwarded" not in head
