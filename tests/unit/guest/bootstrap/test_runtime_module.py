"""`aether`, the module of the runtime's own."""

from __future__ import annotations

import concurrent.futures
import json
import shutil

import pytest
from tests.unit.guest.bootstrap.conftest import GUEST

IMPORTS = {
    "import": ("handler.mjs", "import { callId } from 'aether'; export default () => callId();"),
    "import everything": ("handler.mjs", "import * as a from 'aether'; export default () => a.callId();"),
    "import default": ("handler.mjs", "import aether from 'aether'; export default () => aether.callId();"),
    "require": ("handler.js", "const { callId } = require('aether'); module.exports = () => callId();"),
    "TypeScript": (
        "handler.ts",
        "import { callId } from 'aether'; export default (): string => callId() ?? 'none';",
    ),
    "a program": (
        "handler.js",
        (
            "const { callId } = require('aether');"
            "require('http').createServer((q, r) => r.end(callId())).listen(process.env.PORT);"
        ),
    ),
    "from a folder below": (
        "src/lib/handler.mjs",
        "import { callId } from 'aether'; export default () => callId();",
    ),
}


@pytest.mark.parametrize("how", IMPORTS)
def test_a_function_knows_its_call(function, how):
    entrypoint, source = IMPORTS[how]
    (function.folder / entrypoint).parent.mkdir(parents=True, exist_ok=True)
    function.run(source, entrypoint)
    assert function.call(headers={"X-Call-Id": "call-7"}).text == "call-7", function.errors()
    assert function.errors() == ""


def test_the_id_follows_the_call_and_no_other(function):
    function.run(
        "import { callId } from 'aether'; import { setTimeout as after } from 'node:timers/promises';"
        "const loading = callId() ?? 'none';"
        "export default async () => { const first = callId(); await after(Math.random() * 20);"
        " const timer = await new Promise((done) => setTimeout(() => done(callId()), 5));"
        " return [loading, first, callId(), timer]; };",
        "handler.mjs",
    )
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda i: function.call(headers={"X-Call-Id": f"c{i}"}).json(), range(8))
        assert list(answers) == [["none", *[f"c{i}"] * 3] for i in range(8)]


def test_a_call_without_an_id_has_none(function):
    function.run("const { callId } = require('aether'); module.exports = () => String(callId());")
    assert function.call().text == "undefined"


def test_a_package_of_that_name_in_the_functions_code_comes_first(function):
    own = function.folder / "node_modules" / "aether"
    own.mkdir(parents=True)
    (own / "index.js").write_text("exports.callId = () => 'the package of npm';")
    function.run("import { callId } from 'aether'; export default () => callId();", "handler.mjs")
    assert function.call(headers={"X-Call-Id": "call-7"}).text == "the package of npm"


def test_a_function_that_is_itself_named_aether_works(function):
    function.write("package.json", json.dumps({"name": "aether", "exports": "./handler.js"}))
    function.run("module.exports = () => 'mine';")
    assert function.call().text == "mine"


def test_the_types_in_the_example_are_those_of_the_module():
    copied = GUEST.parents[1] / "examples" / "typescript" / "types" / "aether.d.ts"
    assert copied.read_text() == (GUEST / "module" / "aether.d.ts").read_text()


def test_the_typescript_example_counts_down_for_its_call(function):
    example = GUEST.parents[1] / "examples" / "typescript"
    shutil.copytree(example, function.folder, dirs_exist_ok=True)
    function.start("handler.ts")
    function.listens()
    answer = function.call("/?from=1", headers={"X-Call-Id": "call-7"})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == 'event: tick\ndata: {"left":1,"call":"call-7"}\n\nevent: done\ndata: {}\n\n'
