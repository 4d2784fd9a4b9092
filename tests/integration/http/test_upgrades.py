from aether.http import Outcome

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_upgrade_passes_both_ways_and_closes_each_way_by_itself(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(UPGRADE + b"early")
    upstream = await backend.peer()
    head = await upstream.head()
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    upstream.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello"
    )
    assert b"Upgrade: websocket\r\n" in await client.head()
    assert await client.exactly(5) == b"hello"
    assert await upstream.exactly(5) == b"early"
    client.send(b"last words")
    client.writer.write_eof()
    assert await upstream.rest() == b"last words"
    upstream.send(b"bye")
    upstream.close()
    assert await client.rest() == b"bye"
    exchange = await handler.ended.get()
    assert (exchange.upgraded, exchange.outcome) == (True, Outcome.COMPLETED)
    assert (exchange.bytes_in, exchange.bytes_out) == (15, 8)


async def test_silent_tunnel_is_cut(relay, backend, handler, connect):
    handler.options["idle_timeout_s"] = 0.2
    client = await connect(await relay())
    client.send(UPGRADE)
    (await backend.peer()).send(b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    await client.head()
    assert await client.rest() == b""
    assert (await handler.ended.get()).outcome is Outcome.CUT_IDLE
