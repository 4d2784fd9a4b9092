"""What the platform asks a function's process that is slow: whether its event loop runs."""

from __future__ import annotations

import httpx
import pytest

PROBE = {"x-aether-probe": "1"}


ANSWER = "(q, s) => { console.log('called'); s.end('x'); }"


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = () => { console.log('called'); return 'x'; };",
        f"module.exports = {ANSWER};",
        f"module.exports = require('http').createServer({ANSWER});",
        f"require('http').createServer({ANSWER}).listen(process.env.PORT);",
        f"const s = require('http').createServer(); s.listen(process.env.PORT); s.on('request', {ANSWER});",
    ],
)
def test_a_probe_is_answered_without_the_function(function, source):
    function.run(source)
    for method in ("OPTIONS", "GET"):
        answer = function.call(method=method, headers=PROBE)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["connection"] == "close"
    assert function.output() == ""
    assert function.call().text == "x"
    assert function.output() == "called\n"


def test_a_probe_is_answered_while_a_call_waits(function):
    function.run("module.exports = () => new Promise(() => {});")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"http://127.0.0.1:{function.port}/", timeout=0.2)
    assert function.call(headers=PROBE).status_code == 204


def test_a_probe_is_not_answered_while_the_event_loop_is_blocked(function):
    function.run("module.exports = () => { for (;;); };")
    for headers in ({}, PROBE):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"http://127.0.0.1:{function.port}/", timeout=0.3, headers=headers)


def test_a_handler_is_told_that_its_caller_has_gone(function):
    function.run(
        "module.exports = async (request) => { await new Promise((done) =>"
        " request.signal.addEventListener('abort', () => { console.log('aborted'); done(); })); };"
    )
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"http://127.0.0.1:{function.port}/", timeout=0.2)
    function.sees("aborted")
