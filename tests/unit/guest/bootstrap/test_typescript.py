"""TypeScript as Node runs it: the types are taken off, nothing is compiled."""

from __future__ import annotations

import pytest

TYPED = {
    "an ES module": ("handler.mts", "export default (request: Request): string => 'typed';"),
    "CommonJS": ("handler.cts", "module.exports = (request: Request): string => 'typed';"),
    "by its syntax, an ES module": ("handler.ts", "const a: string = 'typed'; export default () => a;"),
    "by its syntax, CommonJS": ("handler.ts", "const a: string = 'typed'; module.exports = () => a;"),
    "a program": (
        "handler.ts",
        (
            "import { createServer, type Server } from 'node:http';"
            "const s: Server = createServer((q, r) => r.end('typed')); s.listen(process.env.PORT);"
        ),
    ),
}


@pytest.mark.parametrize("shape", TYPED)
def test_typescript_runs_as_it_is(function, shape):
    entrypoint, source = TYPED[shape]
    function.run(source, entrypoint)
    assert function.call().text == "typed"
    assert function.errors() == ""


def test_modules_of_its_own_are_imported_with_their_ending(function):
    function.write("words.ts", "export type Word = string; export const word: Word = 'typed';")
    function.run(
        "import { word, type Word } from './words.ts'; export default (): Word => word;", "handler.ts"
    )
    assert function.call().text == "typed"


def test_lines_of_a_stack_are_those_of_the_source(function):
    function.run(
        "interface Much {\n  a: string\n}\n\nexport default () => {\n  throw new Error('x')\n}", "handler.ts"
    )
    assert function.call().status_code == 500
    assert "handler.ts:6:9" in function.errors()


@pytest.mark.parametrize("source", ["enum A { B }", "namespace N { export const a = 1 }"])
def test_what_would_have_to_be_compiled_is_refused_by_name(function, source):
    function.write("handler.ts", f"{source}\nexport default () => 'x';")
    function.start("handler.ts")
    assert function.wait() == 1
    assert "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX" in function.errors()
