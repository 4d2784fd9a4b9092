import asyncio
import socket

import pytest

from aether.http import Answer, FailureKind, Forward, Outcome, Upstream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield Upstream(*taken.getsockname())


async def test_refused_connect_is_retried_elsewhere_whatever_the_method(
    relay, backend, handler, connect, refusing
):
    handler.upstream = refusing
    handler.on_undelivered = lambda exchange, why: Forward(backend.upstream, b"/again")
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    assert (await upstream.head()).startswith(b"POST /again ")
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"
    exchange = await handler.ended.get()
    assert (exchange.attempts, handler.undeliveries[0].kind) == (2, "connect")


async def test_refusal_by_a_draining_upstream_is_retried_elsewhere(relay, backend, handler, connect):
    handler.on_undelivered = lambda exchange, why: Forward(backend.upstream, b"/again")
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(
        b"HTTP/1.1 503 No\r\nX-Aether-Refused: draining\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    other = await backend.peer()
    assert (await other.head()).startswith(b"POST /again ")
    other.send(OK)
    assert (await client.response())[1] == b"ok"
    assert handler.undeliveries[0].detail == "draining"


async def test_function_cannot_forge_a_refusal(relay, backend, handler, connect):
    handler.options["upstream_may_refuse"] = False
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 503 No\r\nX-Aether-Refused: full\r\nContent-Length: 0\r\n\r\n")
    assert (await client.response())[0] == b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("request_bytes", "fresh"), [(GET, True), (POST, False)])
async def test_kept_connection_that_breaks_is_replaced_only_if_that_is_safe(
    relay, backend, handler, connect, request_bytes, fresh
):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    upstream.send(OK)
    await client.response()
    client.send(request_bytes)
    await upstream.head()  # it was delivered, and then the connection broke
    upstream.reset()
    if fresh:
        (await backend.peer()).send(OK)
        assert (await client.response())[1] == b"ok"
    else:
        assert (await client.response())[0].startswith(b"HTTP/1.1 502 ")
        assert handler.failures[0].kind is FailureKind.BROKEN
        assert backend.accepted == 1


async def test_kept_connection_closed_before_is_not_used(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(OK)
    await client.response()
    upstream.close()
    await upstream.writer.wait_closed()
    client.send(POST)
    (await backend.peer()).send(OK)
    assert (await client.response())[1] == b"ok"


async def test_crash_before_the_head_is_a_failure_that_may_be_retried_if_idempotent(
    relay, backend, handler, connect
):
    client = await connect(await relay())
    for request_bytes, may_retry in [(GET, True), (POST, False)]:
        client.send(request_bytes)
        (await backend.peer()).reset()
        assert (await client.response())[1] == b"broken wait"
        assert handler.failures[-1].may_retry is may_retry


async def test_deadline_before_the_head(relay, backend, handler, connect):
    handler.options["deadline_at"] = asyncio.get_running_loop().time() + 0.2
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    assert (await client.response())[1] == b"deadline wait"
    await upstream.head()
    assert await upstream.rest() == b""
    assert (await handler.ended.get()).status == 504


async def test_slow_body_is_answered_with_408(relay, backend, handler, connect):
    client = await connect(await relay(body_idle_timeout_s=0.2))
    client.send(POST[:-1])
    assert (await client.response())[0].startswith(b"HTTP/1.1 408 ")
    assert await client.rest() == b""


async def test_slow_head_is_answered_with_408_and_an_idle_connection_closed_silently(relay, handler, connect):
    started = await relay(head_timeout_s=0.2, keepalive_timeout_s=0.2)
    idle, slow = await connect(started), await connect(started)
    slow.send(GET[:-2])
    assert (await slow.response())[0].startswith(b"HTTP/1.1 408 ")
    assert await slow.rest() == b""
    assert await idle.rest() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"what?\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Upgraded\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000,
    ],
)
async def test_garbage_from_an_upstream_is_502(relay, backend, handler, connect, garbage):
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(garbage)
    assert (await client.response())[1] == b"malformed wait"
    assert (await handler.ended.get()).outcome is Outcome.FAILED


async def test_nothing_passes_after_a_body_of_known_length(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    assert (await client.response())[1] == b"ok"
    client.send(GET)
    (await backend.peer()).send(OK)
    assert (await client.response())[1] == b"ok"


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked", b"X-Until: close"])
async def test_broken_response_body_is_never_taken_for_whole(relay, backend, handler, connect, framing):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    upstream.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n1\r\na\r\n")
    head = await client.head()
    await client.exactly(6)
    upstream.reset()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (await handler.ended.get()).outcome is Outcome.UPSTREAM_BROKEN


async def test_silent_stream_is_cut(relay, backend, handler, connect):
    handler.options["idle_timeout_s"] = 0.2
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    await client.head()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await handler.ended.get()).outcome is Outcome.CUT_IDLE


async def test_long_stream_is_cut(relay, backend, handler, connect):
    handler.options.update(idle_timeout_s=60, max_stream_s=0.2)
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    await client.head()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert (await handler.ended.get()).outcome is Outcome.CUT_MAX_STREAM


async def test_client_that_goes_takes_its_request_along(relay, backend, handler, connect):
    client = await connect(await relay())
    client.send(GET)
    upstream = await backend.peer()
    await upstream.head()
    client.writer.write_eof()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await upstream.exactly(1)
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_client_that_goes_ends_the_wait_for_a_decision(relay, handler, connect):
    cancelled = asyncio.Event()

    async def cold_start():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    handler.decide = lambda request: cold_start()
    client = await connect(await relay())
    client.send(GET)
    client.close()
    await asyncio.wait_for(cancelled.wait(), 5)
    assert (await handler.ended.get()).outcome is Outcome.CLIENT_GONE


async def test_awaited_decision_is_followed(relay, backend, handler, connect):
    async def cold_start(request):
        await asyncio.sleep(0)
        return handler.forward(request)

    handler.decide = cold_start
    client = await connect(await relay())
    client.send(POST)
    upstream = await backend.peer()
    await upstream.head()
    assert await upstream.exactly(3) == b"abc"
    upstream.send(OK)
    assert (await client.response())[1] == b"ok"


async def test_handler_that_raises_is_an_answer_and_a_report(relay, handler, connect):
    reports = []

    def decide(request):
        raise KeyError("x")

    handler.decide = decide
    started = await relay()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
    client = await connect(started)
    client.send(GET)
    assert (await client.response())[1] == b"handler decide"
    assert isinstance(reports[0]["exception"], KeyError)


async def test_retry_by_forward_from_failed(relay, backend, handler, connect):
    handler.failed = lambda exchange, failure: (
        Forward(backend.upstream, b"/second") if failure.may_retry else Answer(502)
    )
    client = await connect(await relay())
    client.send(GET)
    (await backend.peer()).reset()
    second = await backend.peer()
    assert (await second.head()).startswith(b"GET /second ")
    second.send(OK)
    assert (await client.response())[1] == b"ok"
