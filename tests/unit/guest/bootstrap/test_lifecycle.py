"""Loading, hints, and the end of a function."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import time

import pytest

TIMEOUT_S = 20.0


def test_an_exception_that_is_nobodys_ends_the_instance(function):
    function.run("setTimeout(() => { throw new Error('stray'); }, 100); module.exports = () => 'x';")
    assert function.wait() == 1
    assert "stray" in function.errors()


def test_sigterm_lets_a_running_call_of_a_handler_finish(function):
    function.run(
        "module.exports = async () => {"
        " console.log('in'); await new Promise(r => setTimeout(r, 300)); return 'done'; };"
    )
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(function.call)
        until = time.monotonic() + TIMEOUT_S
        while "in" not in function.output():
            assert time.monotonic() < until
            time.sleep(0.005)
        function.process.send_signal(signal.SIGTERM)
        assert call.result().text == "done"
    assert function.wait() == 0


def test_sigterm_ends_a_program_that_does_not_handle_it(function):
    function.run("require('http').createServer().listen(process.env.PORT);")
    function.process.send_signal(signal.SIGTERM)
    assert function.wait() == -signal.SIGTERM


def test_a_missing_entrypoint_is_said(function):
    function.start("nothing.js")
    assert function.wait() == 1
    assert function.errors() == "aether: there is no nothing.js in the function's code\n"


def test_an_error_while_loading_ends_it_with_the_stack(function):
    function.write("handler.js", "throw new Error('at load');")
    function.start()
    assert function.wait() == 1
    assert "at load" in function.errors()
    assert "handler.js:1" in function.errors()


@pytest.mark.parametrize("source", ["module.exports = {};", "module.exports = 5;", "", "export const a = 1;"])
def test_a_module_that_does_neither_gets_a_hint(function, source):
    function.write("handler.js", source)
    function.start()
    assert function.wait() == 0
    assert "neither listens on port" in function.errors()
    assert "module.exports" in function.errors()


def test_a_module_that_stays_without_listening_gets_a_hint_in_time(function):
    function.write("handler.js", "setInterval(() => {}, 1000);")
    function.start()
    until = time.monotonic() + TIMEOUT_S
    while "neither listens" not in function.errors():
        assert function.process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


def test_modules_see_their_own_arguments(function):
    function.run("module.exports = () => process.argv.slice(1).concat(process.env.GREETING);")
    assert json.loads(function.call().text) == [str(function.folder / "handler.js"), "hi"]
