"""Bodies that come and go in pieces, in both directions."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import httpx
import pytest

TIMEOUT_S = 20.0


def pieces_of(function, **request) -> list[bytes]:
    """What the function sends, piece by piece: the next is asked for only when one has come."""
    url = f"http://127.0.0.1:{function.port}/"
    with (
        httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client,
        client.stream(request.pop("method", "GET"), url, **request) as answer,
    ):
        return list(answer.iter_raw())


def until_true(condition: Callable[[], bool]) -> None:
    """The function's output has no events for us."""
    give_up_at = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


GENERATORS = {
    "async generator": "export default async function* () { yield 'one'; await null; yield 'two'; }",
    "generator": "export default function* () { yield 'one'; yield Buffer.from('two'); }",
    "returned": "export default () => (async function* () { yield 'one'; yield 'two'; })()",
    "in a Response": (
        "export default () => new Response((async function* () { yield 'one'; yield 'two'; })())"
    ),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_is_a_body(function, kind):
    function.run(GENERATORS[kind], "handler.mjs")
    assert b"".join(pieces_of(function)) == b"onetwo"


@pytest.mark.parametrize("value", ["[1, 2]", "new Map()", "'text'", "new Set([1])"])
def test_what_can_be_iterated_but_is_a_value_is_no_stream(function, value):
    function.run(f"module.exports = () => ({value});")
    kind = function.call().headers["content-type"]
    assert kind in ("application/json", "text/plain; charset=utf-8")


def test_each_piece_leaves_when_it_is_yielded(function):
    """The second is made only after the first was seen by the caller, who then sends its own second."""
    function.run(
        "export default async (request) => new Response((async function* () {"
        " for await (const piece of request.body) yield Buffer.from(`<${Buffer.from(piece)}>`); })());",
        "handler.mjs",
    )
    with socket.create_connection(("127.0.0.1", function.port)) as raw:
        raw.settimeout(TIMEOUT_S)
        raw.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        answer = b""
        for word in (b"a", b"b", b"c"):
            raw.sendall(b"1\r\n" + word + b"\r\n")
            while b"<" + word + b">" not in answer:
                piece = raw.recv(4096)
                assert piece, answer
                answer += piece
        raw.sendall(b"0\r\n\r\n")
        while piece := raw.recv(4096):
            answer += piece
    assert answer.endswith(b"0\r\n\r\n")


def test_a_generator_is_closed_when_the_caller_goes(function):
    function.run(
        "export default async function* () { try { for (;;) { yield 'x'.repeat(1000);"
        " await new Promise((go) => setTimeout(go, 5)); } } finally { console.log('closed'); } }",
        "handler.mjs",
    )
    with socket.create_connection(("127.0.0.1", function.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100)
    until_true(lambda: "closed" in function.output())
    assert function.errors() == ""


def test_a_generator_makes_no_more_than_the_caller_takes(function):
    function.run(
        "let made = 0; module.exports = (request) => new URL(request.url).pathname === '/made' ? { made }"
        " : (async function* () { for (; made < 1000; made++) yield Buffer.alloc(1 << 20); })();"
    )
    with socket.create_connection(("127.0.0.1", function.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.recv(100)
        counts = [function.call("/made").json()["made"]]
        while counts[-5:] != [counts[-1]] * 5:
            counts.append(function.call("/made").json()["made"])
        assert 0 < counts[-1] < 50


def test_a_generator_that_throws_cuts_the_answer(function):
    function.run("export default async function* () { yield 'a'; throw new Error('half'); }", "handler.mjs")
    with pytest.raises(httpx.RemoteProtocolError):
        pieces_of(function)
    until_true(lambda: "Error: half" in function.errors())
    with pytest.raises(httpx.RemoteProtocolError):
        pieces_of(function)
