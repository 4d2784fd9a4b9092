"""Exceptions in a call, and which call a line of output belongs to."""

from __future__ import annotations

import concurrent.futures
import socket

import httpx
import pytest

TIMEOUT_S = 20.0


def lines_of(text: str) -> list[str]:
    """Not `splitlines`, for which the mark before a call's id ends a line."""
    return text.removesuffix("\n").split("\n")


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = () => { throw new Error('broken'); };",
        "module.exports = async (req, res) => { throw new Error('broken'); };",
        "module.exports = (req, res) => { throw new Error('broken'); };",
        "module.exports = (req, res) => { setTimeout(() => { throw new Error('broken'); }, 5); };",
        "module.exports = (q, r) => { r.setHeader('x-half', '1'); Promise.reject(new Error('broken')); };",
        "module.exports = () => 1n && { big: 1n, toJSON() { throw new Error('broken'); } };",
    ],
)
def test_an_exception_is_a_500_with_the_call_id_and_the_instance_goes_on(function, source):
    function.run(source)
    for _ in range(2):
        answer = function.call(headers={"X-Call-Id": "call-7"})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/json"
        assert "x-half" not in answer.headers
        assert answer.json() == {
            "error": {
                "code": "function_error",
                "message": "broken",
                "component": "function",
                "call_id": "call-7",
            }
        }
    assert "\x1ecall-7\x1fError: broken" in function.errors()
    assert all(line.startswith("\x1ecall-7\x1f") for line in lines_of(function.errors()))


@pytest.mark.parametrize("thrown", ["undefined", "null", "'word'", "({})"])
def test_whatever_is_thrown_is_a_500(function, thrown):
    function.run(f"module.exports = () => {{ throw {thrown}; }};")
    assert function.call().json()["error"]["code"] == "function_error"


def test_an_exception_after_the_answer_began_cuts_it(function):
    function.run("module.exports = async (req, res) => { res.write('half'); throw new Error('late'); };")
    with pytest.raises(httpx.RemoteProtocolError):
        function.call()
    with pytest.raises(httpx.RemoteProtocolError):
        function.call()


def test_lines_of_a_call_carry_its_id_and_others_none(function):
    function.run(
        "console.log('loading');"
        "module.exports = async (request) => {"
        "  const name = new URL(request.url).pathname.slice(1);"
        "  console.log('one', name); await new Promise(r => setTimeout(r, 20));"
        "  process.stdout.write('half '); process.stdout.write(`${name}\\n`);"
        "  console.error('a\\nb'); process.stdout.write(Buffer.from(`bytes ${name}\\n`)); return name; };"
    )
    for name in ("x", "y"):
        function.call(f"/{name}", headers={"X-Call-Id": f"call-{name}"})
    function.call("/z")
    function.call("/w", headers={"X-Call-Id": "with space"})
    assert lines_of(function.output()) == [
        "loading",
        *[f"\x1ecall-{n}\x1f{text} {n}" for n in "xy" for text in ("one", "half", "bytes")],
        *[f"{text} {n}" for n in "zw" for text in ("one", "half", "bytes")],
    ]
    assert lines_of(function.errors())[:4] == [f"\x1ecall-{n}\x1f{t}" for n in "xy" for t in "ab"]


def test_lines_of_concurrent_calls_are_not_mixed_up(function):
    function.run(
        "module.exports = async (request) => { const name = new URL(request.url).pathname.slice(1);"
        " for (let i = 0; i < 5; i++) { console.log(name); await new Promise(r => setTimeout(r, 3)); } };"
    )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: function.call(f"/c{i}", headers={"X-Call-Id": f"c{i}"}), range(8)))
    lines = lines_of(function.output())
    assert len(lines) == 40
    assert all(line == f"\x1e{line.split(chr(31))[1]}\x1f{line.split(chr(31))[1]}" for line in lines)


def test_lines_of_a_program_carry_the_call_id_too(function):
    function.run(
        "require('http').createServer((q, r) => { console.log('seen'); r.end(); }).listen(process.env.PORT);"
    )
    function.call(headers={"X-Call-Id": "abc"})
    assert function.output() == "\x1eabc\x1fseen\n"


def test_upgrades_reach_a_program(function):
    function.run(
        "const s = require('http').createServer(); s.on('upgrade', (q, socket) => {"
        " console.log('up'); socket.end('HTTP/1.1 101 Switching Protocols\\r\\n\\r\\nhello'); });"
        "s.listen(process.env.PORT);"
    )
    with socket.create_connection(("127.0.0.1", function.port)) as raw:
        raw.settimeout(TIMEOUT_S)
        raw.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\nX-Call-Id: u1\r\n\r\n"
        )
        answer = b""
        while data := raw.recv(4096):
            answer += data
    assert answer.endswith(b"hello")
    assert function.output() == "\x1eu1\x1fup\n"
