"""Which file is the function, when its author doesn't say."""

import io

import pytest

from aether.cli.entrypoint import choose_entrypoint
from aether.cli.failures import Refused
from aether.cli.package import Package


def package(*names, manifest=None):
    return Package(io.BytesIO(), "code.tar.gz", 0, frozenset(names), manifest)


@pytest.mark.parametrize(
    ("names", "manifest", "expected"),
    [
        (("handler.js", "index.js", "package.json"), b'{"main": "index.js"}', "handler.js"),
        (("handler.mjs", "server.js"), None, "handler.mjs"),
        (("index.js", "src/app.js", "package.json"), b'{"main": "./src/app.js"}', "src/app.js"),
        (("index.js", "src/app.js", "package.json"), b'{"main": "src/app"}', "src/app.js"),
        (("lib/index.js", "package.json"), b'{"main": "lib"}', "lib/index.js"),
        (("server.js", "package.json"), b'{"main": "index.js"}', "server.js"),
        (("server.js", "index.js"), None, "index.js"),
        (("index.js", "package.json"), b"not json", "index.js"),
        (("index.js", "package.json"), b'["no object"]', "index.js"),
        (("index.js", "package.json"), b'{"main": 3}', "index.js"),
    ],
)
def test_custom_decides(names, manifest, expected):
    assert choose_entrypoint(package(*names, manifest=manifest), "node", None, None) == expected


def test_what_is_given_wins_and_must_be_there():
    assert choose_entrypoint(package("handler.js", "b.js"), "node", "./b.js", "handler.js") == "b.js"
    with pytest.raises(Refused, match=r"no c\.js") as raised:
        choose_entrypoint(package("handler.js", "lib/a.js"), "node", "c.js", None)
    assert raised.value.hint == "At the top are: handler.js, lib/."


def test_function_keeps_its_entrypoint_while_the_file_is_there():
    assert choose_entrypoint(package("handler.js", "b.js"), "node", None, "b.js") == "b.js"
    assert choose_entrypoint(package("handler.js"), "node", None, "b.js") == "handler.js"


def test_nothing_that_fits_says_what_is_there():
    with pytest.raises(Refused, match="Which file is the function") as raised:
        choose_entrypoint(package("readme.txt"), "node", None, None)
    assert "--entrypoint" in raised.value.hint
    with pytest.raises(Refused) as raised:
        choose_entrypoint(package("repo-main/handler.js"), "node", None, None)
    assert "inside the folder repo-main/" in raised.value.hint


def test_unknown_runtime_is_left_to_the_platform():
    assert choose_entrypoint(package("x.wasm"), "wasm", None, None) is None
