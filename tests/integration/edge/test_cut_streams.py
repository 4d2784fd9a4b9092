"""What is recorded of a stream whose instance went under it."""

from datetime import UTC, datetime, timedelta

import pytest

GET = b"GET /functions/hello HTTP/1.1\r\nHost: a.example\r\n"
STREAM = GET + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
TUNNEL = GET + _UPGRADE, b"HTTP/1.1 101 Switching Protocols\r\n" + _UPGRADE
BROKE_OFF = "the instance broke off in the middle of its answer"
DRAINED = "cut: its instance was to go, and its drain time was over"


@pytest.mark.parametrize(
    ("neighbours", "exchange"),
    [(False, STREAM), (True, STREAM), (True, TUNNEL)],
    ids=["stream between processes", "stream in one process", "tunnel in one process"],
    indirect=["neighbours"],
)
@pytest.mark.parametrize(("drains_for_s", "says"), [(None, BROKE_OFF), (300.0, BROKE_OFF), (0.0, DRAINED)])
async def test_a_stream_that_the_end_of_a_drain_cuts_is_told_from_one_that_broke_off(
    hops, exchange, drains_for_s, says
):
    both = await hops()
    client = await both.connect()
    client.send(exchange[0])
    function = await both.function()
    await function.head()
    function.send(exchange[1])
    await client.head()
    until = None if drains_for_s is None else datetime.now(UTC) + timedelta(seconds=drains_for_s)
    recorded = await both.cut(until)
    assert (recorded.status, recorded.error_message) == ("error", says)
