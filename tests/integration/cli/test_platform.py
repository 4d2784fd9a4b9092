"""The platform as the command line shows it, and a platform that can't be reached."""

import http.server
import threading

import pytest

from aether.cli.connection import Connection


def test_status_workers_and_runtimes(aether):
    assert aether("status", "--json").json["workers"] == 1
    assert "simulated" in aether("status").out
    [worker] = aether("workers", "--json").json
    table = aether("workers").out.splitlines()
    assert table[1].startswith(worker["id"])
    assert aether("worker", "list").out == aether("workers").out
    assert [runtime["name"] for runtime in aether("runtime", "list", "--json").json] == ["node"]
    assert "handler.js" in aether("runtime", "list").out


def test_worker_that_is_not_there_can_not_be_drained(aether):
    refused = aether("worker", "drain", "wrk-none", "--wait")
    assert refused.code == 1
    assert "there is no worker 'wrk-none'" in refused.err


def test_wrong_key_is_refused_with_a_way_out(aether):
    refused = aether("list", "--key", "wrong")
    assert (refused.code, refused.out) == (1, "")
    assert "--key" in refused.err


def test_platform_elsewhere_never_gets_this_ones_key(platform, aether, monkeypatch):
    monkeypatch.delenv("AETHER_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(platform.data_dir.parent))
    (platform.data_dir.parent / "aether").mkdir()
    (platform.data_dir.parent / "aether/api-key").write_text("kept-here\n")
    assert Connection("http://127.0.0.1:1").target().key == "kept-here"
    assert Connection("http://[::1]:1").target().key == "kept-here"
    for elsewhere in ("http://faas.example", "http://127.evil.example", "http://localhost.example"):
        assert Connection(elsewhere).target().key is None
        assert Connection(elsewhere, key="given").target().key == "given"


@pytest.mark.parametrize("words", [["list"], ["invoke", "hello"], ["logs", "hello", "-f"]])
def test_nothing_there_gives_exit_code_3_and_says_how_to_start(aether, words):
    gone = aether(*words, "--url", "http://127.0.0.1:1")
    assert (gone.code, gone.out) == (3, "")
    assert "aether up" in gone.err


def test_url_that_is_none_is_wrong_usage(aether):
    assert aether("list", "--url", "localhost:8080").code == 2


@pytest.fixture
def something_else():
    """An HTTP server that is not Aether."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


def test_server_that_is_not_aether_is_told_apart(aether, something_else):
    other = aether("list", "--url", something_else)
    assert other.code == 3
    assert "is not Aether" in other.err
