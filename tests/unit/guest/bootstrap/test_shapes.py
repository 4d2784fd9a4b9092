"""Every shape of a function that docs/functions.md tells of, and what a handler may get and return."""

from __future__ import annotations

import os

import pytest

PROGRAM = "{load}http.createServer((q, r) => r.end('program ' + q.url)).listen(process.env.PORT{address});"

SHAPES = {
    "a program that listens": (
        "handler.js",
        PROGRAM.format(load="const http = require('http');", address=""),
    ),
    "a program that listens by options": (
        "handler.js",
        (
            "require('http').createServer((q, r) => r.end('program ' + q.url))"
            ".listen({port: Number(process.env.PORT), host: '0.0.0.0'});"
        ),
    ),
    "a program that listens when it is the main module": (
        "handler.js",
        (
            "const s = require('http').createServer((q, r) => r.end('program ' + q.url));"
            "if (require.main === module) s.listen(process.env.PORT); else module.exports = () => 'wrong';"
        ),
    ),
    "a program that listens and exports": (
        "handler.js",
        PROGRAM.format(load="const http = require('http');", address="") + "module.exports = () => 'wrong';",
    ),
    "a program that listens later": (
        "handler.js",
        "setTimeout(() => {" + PROGRAM.format(load="const http = require('http');", address="") + "}, 200);",
    ),
    "an ES module that listens": ("handler.mjs", PROGRAM.format(load="import http from 'http';", address="")),
    "an ES module that listens after it awaited": (
        "handler.mjs",
        PROGRAM.format(
            load="import http from 'http'; await new Promise(r => setTimeout(r, 50));", address=""
        ),
    ),
    "a server that is exported": (
        "handler.js",
        "module.exports = require('http').createServer((q, r) => r.end('program ' + q.url));",
    ),
    "module.exports (req, res)": (
        "handler.js",
        "module.exports = (req, res) => res.end('program ' + req.url);",
    ),
    "exports.handler (req, res)": (
        "handler.js",
        "exports.handler = (req, res) => res.end('program ' + req.url);",
    ),
    "async (req, res)": (
        "handler.js",
        "module.exports = async (req, res) => { await null; res.end('program ' + req.url); };",
    ),
    "an application with three parameters": (
        "handler.js",
        (
            "const app = function (req, res, next) { res.end('program ' + req.url); }; app.listen = () => {};"
            "module.exports = app;"
        ),
    ),
    "export default (req, res)": (
        "handler.mjs",
        "export default (req, res) => res.end('program ' + req.url);",
    ),
    "export default (request)": (
        "handler.mjs",
        "export default (request) => 'program ' + new URL(request.url).pathname;",
    ),
    "export handler": (
        "handler.mjs",
        "export const handler = async (request) => new Response('program ' + new URL(request.url).pathname);",
    ),
    "export default with fetch": (
        "handler.mjs",
        (
            "export default { fetch(q) { return new Response(this.word + new URL(q.url).pathname); },"
            " word: 'program ' };"
        ),
    ),
    "module.exports with fetch": (
        "handler.js",
        (
            "module.exports = { async fetch(request, env) {"
            " return new Response('program ' + new URL(request.url).pathname); } };"
        ),
    ),
    "a compiled ES module": (
        "handler.js",
        (
            "Object.defineProperty(exports, '__esModule', { value: true });"
            "exports.default = (request) => 'program ' + new URL(request.url).pathname;"
        ),
    ),
    "an ES module by its syntax alone": (
        "handler.js",
        "export default (request) => 'program ' + new URL(request.url).pathname;",
    ),
    "an ES module that awaits": (
        "handler.mjs",
        (
            "const word = await Promise.resolve('program ');"
            "export default (request) => word + new URL(request.url).pathname;"
        ),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_answers(function, shape):
    entrypoint, source = SHAPES[shape]
    function.run(source, entrypoint)
    answer = function.call("/some/path")
    assert (answer.status_code, answer.text) == (200, "program /some/path"), function.errors()
    assert function.errors() == ""


def test_a_package_of_type_module(function):
    function.write("package.json", '{"type": "module"}')
    function.write("word.js", "export const word = 'hello';")
    function.run("import { word } from './word.js'; export default () => word;")
    assert function.call().text == "hello"


def test_an_entrypoint_in_a_folder(function):
    (function.folder / "src").mkdir()
    function.run("module.exports = () => __filename;", "src/main.js")
    assert function.call().text == str(function.folder / "src/main.js")


@pytest.mark.parametrize(
    ("value", "status", "kind", "body"),
    [
        ("'text'", 200, "text/plain; charset=utf-8", b"text"),
        ("({a: 1})", 200, "application/json", b'{"a":1}'),
        ("[1, 2]", 200, "application/json", b"[1,2]"),
        ("null", 200, "application/json", b"null"),
        ("42", 200, "application/json", b"42"),
        ("false", 200, "application/json", b"false"),
        ("undefined", 204, None, b""),
        ("Buffer.from([0, 255])", 200, "application/octet-stream", b"\x00\xff"),
        ("new Uint8Array([1])", 200, "application/octet-stream", b"\x01"),
        ("new Response('x', {status: 201, headers: {'content-type': 'a/b'}})", 201, "a/b", b"x"),
        ("new Response(null, {status: 304})", 304, None, b""),
        ("Response.json({b: 2}, {status: 418})", 418, "application/json", b'{"b":2}'),
        ("require('stream').Readable.from(['a', 'b'])", 200, "application/octet-stream", b"ab"),
        ("(async function* () { yield 'c'; yield 'd'; })()", 200, "application/octet-stream", b"cd"),
        ("new Blob(['e']).stream()", 200, "application/octet-stream", b"e"),
    ],
)
def test_what_a_handler_may_return(function, value, status, kind, body):
    function.run(f"module.exports = () => ({value});")
    answer = function.call()
    assert (answer.status_code, answer.headers.get("content-type"), answer.content) == (status, kind, body)


def test_a_handler_gets_method_headers_and_body(function):
    function.run(
        "module.exports = async (request) => ({ method: request.method, url: request.url,"
        " x: request.headers.get('x-a'), body: await request.text() });"
    )
    headers = {"x-a": "1", "x-forwarded-proto": "https", "x-forwarded-host": "hello.example"}
    answer = function.call("/p?q=1", method="POST", headers=headers, content=b"body")
    assert answer.json() == {"method": "POST", "url": "https://hello.example/p?q=1", "x": "1", "body": "body"}


def test_several_cookies_stay_several(function):
    function.run(
        "module.exports = () => { const r = new Response('x'); r.headers.append('set-cookie', 'a=1');"
        " r.headers.append('set-cookie', 'b=2'); return r; };"
    )
    assert function.call().headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_large_body_passes_both_ways(function):
    function.run("module.exports = (request) => new Response(request.body);")
    body = os.urandom(3_000_000)
    assert function.call(method="POST", content=body).content == body
